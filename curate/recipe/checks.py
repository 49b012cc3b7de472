"""What is wrong with a recipe as a whole: order, columns, roles, packages that are missing."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from curate.errors import Problem
from curate.recipe.fieldtypes import arms, plain
from pipelines.errors import did_you_mean
from pipelines.rows import DEFAULT_SPLIT, ID
from pipelines.steps.step import Derive, Map, Step

DISTRIBUTION = "curate-proof"

FIXED_COLUMNS = {"text": ("text",)}
"""Roles of the formats whose columns are the same for every input."""

Steps = Sequence[Step | None]
"""The steps of a recipe; None stands for one that is wrong in itself."""


def whole_recipe(read: Any, steps: Steps, union: Any) -> list[Problem]:
    """Return what only the whole recipe shows.

    Args:
        read: the `read` section, or None where that is wrong in itself.
        steps: the steps.
        union: type of a step, to name the op that would add a missing column.
    """
    problems = [*_order(steps), *_splits(steps), *_columns(steps, union)]
    if read is not None:
        problems += _packages(read, ("read",))
    for position, step in enumerate(steps):
        if step is not None:
            problems += _packages(step, ("steps", position))
            if read is not None:
                problems += _roles(read, step, position)
    return problems


def _order(steps: Steps) -> Iterator[Problem]:
    """Augmentation comes last: a row that is dropped later would leave derived rows behind."""
    augments: tuple[int, str] | None = None
    for position, step in enumerate(steps):
        if isinstance(step, Derive) and augments is None:
            augments = (position + 1, step.op)
        elif step is not None and augments and (step.op == "split" or not _harmless(step)):
            number, op = augments
            yield Problem(
                ("steps", position),
                f"{step.op} must stand before augmentation ({op}, step {number}): "
                f"rows are derived from rows that stay; move it above step {number}",
            )


def _splits(steps: Steps) -> Iterator[Problem]:
    """Only the training split is augmented, so a recipe that splits and augments needs one."""
    shares: dict[str, float] = {}
    for position, step in enumerate(steps):
        if step is not None and step.op == "split":
            shares = getattr(step, "shares", {})
        elif isinstance(step, Derive) and shares and DEFAULT_SPLIT not in shares:
            yield Problem(
                ("steps", position),
                f"{step.op} augments the split {DEFAULT_SPLIT!r} only, and `split` makes "
                f"{', '.join(shares)}; call one of them {DEFAULT_SPLIT}",
            )


def _harmless(step: Step) -> bool:
    return isinstance(step, Map | Derive)


def _columns(steps: Steps, union: Any) -> Iterator[Problem]:
    """A column that some operator adds must be added before it is read.

    Other columns may well stand in the input, so nothing is said of them.
    """
    added: set[str] = set()
    for position, step in enumerate(steps):
        if step is None:
            return
        for name, column in _used(step):
            if column in added:
                continue
            makers = makers_of(column, union)
            near = did_you_mean(column, sorted(added))
            advice = f"; add `- op: {makers[0]}` before it" if makers else near
            if advice:
                yield Problem(
                    ("steps", position, name),
                    f"no step before it adds the column {column!r}{advice}",
                )
        added.update(step.adds())


def _used(step: Step) -> Iterator[tuple[str, str]]:
    """Yield (option, column) for each column with our prefix that a step needs."""
    yield from ((o, name) for o, name in step.names() if name.startswith("_") and name != ID)


def makers_of(column: str, union: Any) -> list[str]:
    """Return the ops that add a column when their options are left at the defaults."""
    found = []
    for arm in arms(union):
        model = plain(arm)
        op = str(model.model_fields["op"].default)
        if column in model.model_construct(op=op).adds():
            found.append(op)
    return found


def _roles(read: Any, step: Step, position: int) -> Iterator[Problem]:
    """Most formats show their columns only when they are read; these are known before."""
    columns = FIXED_COLUMNS.get(read.format)
    for role in step.roles():
        if columns is not None and role not in columns:
            article = "an" if role[0] in "aeiou" else "a"
            yield Problem(
                ("steps", position),
                f"{step.op} needs {article} {role} column; `read` with format: {read.format} "
                f"has only {', '.join(columns)}",
            )


def _packages(part: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    extra, imports = part.packages()
    missing = [m for m in imports if find_spec(m.partition(".")[0]) is None]
    if missing:
        op = getattr(part, "op", getattr(part, "format", path[0]))
        command = f"'{DISTRIBUTION}[{extra}]'" if extra else " ".join(missing)
        yield Problem(
            path,
            f"{op} needs {', '.join(missing)}, not installed here; run: pip install {command}",
        )
