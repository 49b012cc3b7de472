"""The dataset card: the README.md by which `datasets` opens the output, and people know it."""

import hashlib
import io
import keyword
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted

from curate.manifest import Manifest
from curate.report.accounting import accounted, causes, outcome, percent
from curate.visible import visible
from pipelines.ledger.counts import StepCounts

SIZES = [
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
]
"""The size categories of the Hugging Face hub, each with the rows it ends before."""
LONGEST = 500
"""Characters of one value from the recipe or the data."""
MOST_OF_VERDICT = 4_000
MAPPED = ".arrow"
"""How the names of files end that `load_from_disk` maps."""
LOAD, VERDICT = "## Load", "## What curation was worth"

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")
_PLAIN_WORDS = re.compile(r"[a-z0-9_]+", re.IGNORECASE)


def dataset_card(manifest: Manifest, source: str) -> str:
    """Return the README.md of an output folder.

    Args:
        manifest: of the run.
        source: the resolved recipe, as it stands in `_curate/recipe.yaml`.
    """
    parts = [
        f"# {_text(manifest.name)}",
        _about(manifest),
        *_declared(manifest.declared),
        LOAD,
        _loading(manifest.splits, _ending(manifest) == MAPPED),
        "## Steps",
        _steps(manifest.steps),
        *_reasons(manifest),
        "## Provenance",
        _provenance(manifest, source),
    ]
    return f"---\n{front_matter(manifest)}---\n\n" + "\n\n".join(parts) + "\n"


def with_verdict(card: str, sentence: str) -> str:
    """Return a dataset card with the verdict of its proof on it, in place of an earlier one."""
    card = re.sub(rf"^{VERDICT}\n.*?(?=^## |\Z)", "", card, flags=re.MULTILINE | re.DOTALL)
    said = f"{VERDICT}\n\n{_text(sentence, MOST_OF_VERDICT)}\n\n"
    head, heading, rest = card.partition(f"{LOAD}\n")
    return f"{head}{said}{heading}{rest}"


def front_matter(manifest: Manifest) -> str:
    """Return the YAML header, from which `load_dataset` learns which files make which split."""
    tags = ["curated", *_content(manifest)]
    header: dict[str, Any] = {
        "pretty_name": Quoted(visible(manifest.name, LONGEST)),
        "size_categories": [size_category(sum(manifest.splits.values()))],
        "tags": [*tags, *(["augmented"] if manifest.rows.derived else [])],
    }
    if manifest.splits:
        ending = _ending(manifest)
        files = [
            {"split": Quoted(s), "path": Quoted(f"{s}/*{ending}")} for s in ordered(manifest.splits)
        ]
        header["configs"] = [
            {"config_name": "default", "description": _identity(manifest), "data_files": files}
        ]
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(header, out)
    return out.getvalue()


def _identity(manifest: Manifest) -> str:
    """Return what tells this output from others of the same folder name.

    `datasets` keys its cache by the name of the folder and by what stands in `configs`: without it,
    another output called alike would be read from the cache.
    """
    content = "".join(one.sha256 for one in manifest.shards)
    return f"content {hashlib.sha256(content.encode()).hexdigest()[:32]}"


def size_category(rows: int) -> str:
    """Return the size category of the Hugging Face hub."""
    return next((name for end, name in SIZES if rows < end), "n>1T")


def ordered(splits: Iterable[str]) -> list[str]:
    """Return split names with those for training first, then validation, then test."""
    first = ("train", "validation", "test")
    return sorted(splits, key=lambda s: (first.index(s) if s in first else len(first), s))


def _content(manifest: Manifest) -> list[str]:
    """Return what the rows hold: text, images or both."""
    columns = manifest.columns
    return [r for r, name in (("text", columns.text), ("image", columns.image)) if name]


def _about(manifest: Manifest) -> str:
    rows, tool = manifest.rows, manifest.tool
    kind = " and ".join(_content(manifest)) or "data"
    return (
        f"A corpus of {kind} rows, curated with {tool.name} {tool.version}: "
        f"{outcome(rows)}. {accounted(rows).capitalize()}.\n\n"
        "`_curate/report.html` shows examples of what was dropped and why, `_curate/ledger/` holds "
        "the fate of every row."
    )


def _declared(declared: Sequence[str]) -> list[str]:
    if not declared:
        return []
    return ["## Known defects", "\n".join(f"- {_text(said)}" for said in declared)]


def _ending(manifest: Manifest) -> str:
    """Return how the names of the files of rows end."""
    for one in manifest.shards:
        return f".{one.file.partition('.')[2]}"
    return MAPPED


def _loading(splits: dict[str, int], mapped: bool) -> str:
    if not splits:
        return "No row was kept; there is nothing to load."
    first = ordered(splits)[0]
    table = _table(("split", ">rows"), [(s, f"{splits[s]:,}") for s in ordered(splits)])
    if not mapped:
        return f"""{table}

```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder")
```"""
    return f"""{table}

```python
from datasets import load_dataset, load_from_disk

data = load_dataset("path/to/this/folder")                    # copies once into the cache
data = load_dataset("path/to/this/folder", streaming=True)    # reads while you iterate
data = load_from_disk("path/to/this/folder")                  # maps the files, no copy
{_identifier(first)} = load_from_disk("path/to/this/folder/{first}")
```"""


def _steps(steps: Sequence[StepCounts]) -> str:
    derives = any(step.derived for step in steps)
    names = ("kept", "dropped", "quarantined", *(("derived",) if derives else ()))
    heads = (">step", "op", ">in", *(f">{name}" for name in names))
    lines = [
        (
            str(step.step),
            _text(step.op),
            f"{step.entered:,}",
            *(f"{getattr(step, name):,}" for name in names),
        )
        for step in steps
    ]
    return _table(heads, lines)


def _reasons(manifest: Manifest) -> list[str]:
    found = causes(manifest.steps, manifest.rows.entered)
    if not found:
        return []
    lines = [(_text(c.op), _text(c.reason), c.fate, f"{c.rows:,}", percent(c.share)) for c in found]
    heads = ("op", "reason", "fate", ">rows", ">share of input")
    return ["## Why rows left", _table(heads, lines)]


def _provenance(manifest: Manifest, source: str) -> str:
    tool, given = manifest.tool, manifest.input
    digest = hashlib.sha256(source.encode("utf-8", "backslashreplace")).hexdigest()
    facts = [
        f"made {manifest.created} by {tool.name} {tool.version}, runner {_text(manifest.runner)}",
        f"seed {manifest.seed}: the same recipe on the same input gives the same files",
        f"recipe `_curate/recipe.yaml`, sha256 `{digest}`",
    ]
    files = "1 file" if given.files == 1 else f"{given.files:,} files"
    limit = f", only the first {given.limit:,} records" if given.limit else ""
    facts.append(f"input {files}, {given.bytes:,} bytes{limit}, fingerprint `{given.fingerprint}`")
    facts.append("shards with their sha256: `_curate/manifest.json`")
    return "\n".join(f"- {fact}" for fact in facts)


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; heads that begin with `>` stand over numbers."""
    rule = ["---:" if head.startswith(">") else "---" for head in heads]
    rows = [[head.lstrip(">") for head in heads], rule, *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _text(said: str, longest: int = LONGEST) -> str:
    """Return words of the recipe or the data so that Markdown takes them for words."""
    one_line = " ".join(visible(said, longest).split())
    if _PLAIN_WORDS.fullmatch(one_line):
        return one_line
    return _ACTIVE.sub(r"\\\1", one_line)


def _identifier(split: str) -> str:
    """Return a Python name for a split."""
    name = re.sub(r"\W", "_", split)
    return f"{name}_" if keyword.iskeyword(name) or not name.isidentifier() else name
