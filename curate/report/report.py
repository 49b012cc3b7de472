"""The report of a run: one HTML file that needs nothing else, made of the manifest and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from curate.manifest import Manifest
from curate.report.accounting import accounted, causes, outcome, percent
from curate.report.charts import Figure, figure
from curate.report.examples import Example
from curate.report.gallery import gallery, warning_cards
from curate.visible import visible
from pipelines.errors import UserError

MOST_LABELS = 20
MOST_ROWS = 60
"""Lines of any other table; the manifest has all."""
LONGEST = 1_000
"""Characters of any one value from the data or the recipe."""
LONGEST_RECIPE = 200_000

PROOF_START, PROOF_END = "<!-- proof -->", "<!-- end of proof -->"


Histograms = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True)
class LabelBar:
    """How often one label stands before and after."""

    name: str
    before: int
    after: int

    @property
    def change(self) -> str:
        """Relative change in per cent."""
        if not self.before:
            return "new"
        return f"{100 * (self.after - self.before) / self.before:+.0f} %".replace("-", "−")


def render_report(
    manifest: Manifest,
    source: str,
    examples: Sequence[Example],
    proof: str | None = None,
    warned: Sequence[Sequence[Example]] = (),
) -> str:
    """Return the report of a run as one HTML page, below about 1.5 MB whatever the data holds.

    Args:
        manifest: of the run.
        source: the resolved recipe.
        examples: of rows that were dropped or quarantined.
        proof: an HTML fragment on what curation was worth; trusted, put in as it stands.
        warned: of the rows that each warning among the notes is about, in their order.
    """
    rows, before, after = manifest.rows, manifest.profile.before, manifest.profile.after
    of_run = causes(manifest.steps, rows.entered)
    groups, left_out = gallery(examples, of_run)
    labels, other_labels = label_bars(before.labels, after.labels)
    page = _environment().get_template("report.html.j2")
    return page.render(
        run=manifest,
        columns=vars(manifest.columns),
        rows=rows,
        outcome=_sentence(outcome(rows)),
        accounted=_sentence(accounted(rows)),
        created=manifest.created.replace("T", " ").replace("Z", " UTC"),
        widest=max((step.entered + step.derived for step in manifest.steps), default=0),
        derives=any(step.derived for step in manifest.steps),
        edits=any(step.edited for step in manifest.steps),
        causes=of_run,
        figures=figures(before.histograms, after.histograms),
        labels=labels,
        other_labels=other_labels,
        most_of_label=max((max(bar.before, bar.after) for bar in labels), default=0),
        warnings=warning_cards(manifest.notes, warned),
        notes=[note for note in manifest.notes if not note.warning],
        groups=groups,
        left_out=left_out,
        most_rows=MOST_ROWS,
        recipe=escape(visible(source, LONGEST_RECIPE)),
        proof=proof_section(proof),
    )


def proof_section(proof: str | None) -> Markup:
    """Return the place of the proof in the page, empty where there is none yet."""
    return Markup(f"{PROOF_START}{proof or ''}{PROOF_END}")


def with_proof(report: str, proof: str) -> str:
    """Return a rendered report with this proof in it, in place of an earlier one.

    Raises:
        UserError: the page is no report of ours.
    """
    head, start, rest = report.partition(PROOF_START)
    _, end, tail = rest.partition(PROOF_END)
    if not start or not end:
        raise UserError(
            f"the page has no place for a proof ({PROOF_START}); give the report.html that "
            "`curate run` wrote"
        )
    return f"{head}{proof_section(proof)}{tail}"


def figures(before: Histograms, after: Histograms) -> list[Figure]:
    """Return a histogram of each measure there is."""
    names = sorted(before.keys() | after.keys())
    return [figure(visible(name), before.get(name) or {}, after.get(name) or {}) for name in names]


def label_bars(
    before: dict[str, int], after: dict[str, int]
) -> tuple[list[LabelBar], LabelBar | None]:
    """Return the most frequent labels, and the sum of all others."""
    names = sorted(before.keys() | after.keys(), key=lambda n: (-before.get(n, 0), n))
    bars = [LabelBar(name, before.get(name, 0), after.get(name, 0)) for name in names]
    shown, rest = bars[:MOST_LABELS], bars[MOST_LABELS:]
    if not rest:
        return shown, None
    said = f"{len(rest):,} other labels"
    return shown, LabelBar(said, sum(b.before for b in rest), sum(b.after for b in rest))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("curate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commas"] = lambda value: f"{value:,}"
    environment.filters["percent"] = percent
    environment.filters["seconds"] = lambda value: f"{value:,.1f}"
    return environment


def _shown(value: object) -> object:
    """Bound every value that enters the page and show what is hidden in it; escaping follows."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, LONGEST)
    return value


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."
