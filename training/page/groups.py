"""In which order and under which heading people read the arms."""

from collections.abc import Iterator, Sequence

from training.design.arms import ATTRIBUTION
from training.page.plot import Kind, Line, gap_line
from training.result.result import ArmScores, Condition, Result, StepWorth

MAIN = "Each arm minus raw"
CONTROLS = "Controls: other rows of raw"
INSTRUMENT = "The instrument: raw against raw must show no gap"
FURTHER = "Other budgets, recipes and labels"
ATTRIBUTED = "Curated with one step fewer, with one step alone, and as many random rows"
DIFFERENCES = "Curated minus its controls"

_CONTROLS = ("random@n", "random@n,class", "random@bytes", "rs2@n", "scrambled", "anti")
_ORDER = (MAIN, CONTROLS, INSTRUMENT, FURTHER, ATTRIBUTED)


def group_of(name: str) -> str:
    """Return the heading an arm stands under."""
    if name in ("raw", "curated"):
        return MAIN
    if name == "aa":
        return INSTRUMENT
    if ATTRIBUTION.fullmatch(name):
        return ATTRIBUTED
    return CONTROLS if name in _CONTROLS else FURTHER


def grouped(arms: Sequence[ArmScores]) -> list[tuple[str, list[ArmScores]]]:
    """Return the arms under their headings, main ones first, controls in a fixed order."""
    by_group: dict[str, list[ArmScores]] = {group: [] for group in _ORDER}
    for arm in arms:
        by_group[group_of(arm.name)].append(arm)
    by_group[CONTROLS].sort(key=lambda arm: _CONTROLS.index(arm.name))
    return [(group, found) for group, found in by_group.items() if found]


def arm_lines(result: Result) -> list[Line]:
    """Return the lines of the forest plot: every arm against raw but those of attribution."""
    lines = [
        gap_line(arm.vs_raw, arm.name, group, _kind(arm.name, group), arm.says)
        for group, arms in grouped(result.arms)
        for arm in arms
        if arm.vs_raw and group != ATTRIBUTED
    ]
    return lines + [
        gap_line(gap, gap.name.replace("curated − ", "− "), DIFFERENCES)
        for gap in result.comparisons
    ]


def _kind(name: str, group: str) -> Kind:
    if name == "curated":
        return "strong"
    return "plain" if group == INSTRUMENT or name.startswith("random@") else "far"


def step_lines(steps: Sequence[StepWorth]) -> list[Line]:
    """Return two bars a step: leaving it out, and keeping nothing else.

    The bars are what a step is judged by: curated minus curated without it, and the step alone
    minus as many random rows. The circle is the other reading: net of random twins of both sizes,
    and minus all of raw.
    """
    return [line for step in steps for line in _step(step)]


def _step(step: StepWorth) -> Iterator[Line]:
    dropped = "" if step.dropped is None else f" · dropped {step.dropped:,}"
    group = f"{step.step}{dropped} · {step.verdict}"
    alone, circle = (step.only_net, step.only) if step.only_net else (step.only, None)
    for label, gap, other in (
        ("with − without it", step.without, step.without_net),
        ("alone − random" if step.only_net else "alone − raw", alone, circle),
    ):
        if gap is not None:
            low, high = gap.ci95
            kind: Kind = "good" if low > 0 else "bad" if high < 0 else "plain"
            also = None if other is None else other.gap
            says = "" if other is None else f"circle: {other.name}"
            yield Line(label, gap.gap, low, high, gap.per_seed, kind, group, says, True, also)


def condition_lines(result: Result) -> list[Line]:
    """Return the planned comparison and the same gap under each other condition."""
    primary = next((arm.vs_raw for arm in result.arms if arm.name == "curated"), None)
    if primary is None or not result.conditions:
        return []
    lines = [gap_line(primary, "as planned", "Curated minus raw", "strong")]
    for kind in ("size", "learning rate", "test"):
        found = [condition for condition in result.conditions if condition.kind == kind]
        found.sort(key=lambda condition: condition.n or 0)
        lines += [
            gap_line(c.gap, _named(c), f"Other {kind}s", says=f"p {c.gap.p:.2g}") for c in found
        ]
    return lines


def _named(condition: Condition) -> str:
    return condition.name if condition.n is None else f"{condition.name} ({condition.n:,.0f})"
