"""How much data a recipe would read: counted where that is cheap, else estimated from a sample."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.plan.costs import Size
from curate.recipe.recipe import Recipe
from curate.run.run import cut_of, plan_reading, required_roles
from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.maths.encoders.text_encoders import MINILM_DIMENSIONS
from pipelines.readers.read_plan import ReadPlan, read_task
from pipelines.readers.source import Source
from pipelines.rows import ID, KEY, Rows
from pipelines.rows.keys import position_of
from pipelines.steps.step import Step

SAMPLED = 5_000
"""Rows read at least, where there are as many."""
FOOTERS = 64
"""Parquet files whose number of rows is read."""
IMAGE_DIMENSIONS = 256
Known = Literal["counted", "estimated", "given"]


@dataclass(frozen=True)
class Input:
    """What would be read."""

    files: int
    bytes: int
    """Of the files, as they lie."""
    rows: int
    known: Known
    """How the number of rows is known."""
    sampled: int
    """Rows that were read to tell what a row is like."""
    content: float
    """Bytes of text and image a row."""
    stored: float
    """Bytes of all columns a row."""
    vectors: Mapping[str, int] = field(default_factory=dict)
    """Columns of vectors, and how many numbers each holds."""

    def size(self, step: Step | None = None) -> Size:
        """Return the size of the input as a step sees it."""
        column = getattr(step, "column", None)
        return Size(self.rows, self.content, self.stored, self.vectors.get(str(column), 0))


@dataclass(frozen=True)
class Reading:
    """How `run` would read it."""

    tasks: int
    workers: int
    spools: bool
    """Whether a file that cannot be split is cut up first, which is one more shuffle."""


def plan_input(
    recipe: Recipe,
    *,
    rows: int | None,
    total_bytes: int | None,
    row_bytes: int | None,
    workers: int | None,
    limit: int | None,
) -> tuple[Input, Reading, tuple[str, ...]]:
    """Return the input to plan for, how `run` would read it, and what is to be said about that.

    Tasks and workers follow from the sizes of the files, as in a run; those of an input that is
    only described grow with it. For the arguments see `plan_recipe`.

    Raises:
        UserError: there is no input and no description of one, or a column is not there.
    """
    remarks: tuple[str, ...] = ()
    try:
        plan, chosen = plan_reading(recipe, recipe.run.runner, workers, limit)
    except listings.NoInput as error:
        if row_bytes is None or (rows is None and total_bytes is None):
            raise
        remarks = (f"there is no input yet ({error}): rows are taken as described",)
        nothing = Input(0, 0, 0, "given", 0, row_bytes, row_bytes)
        seen = _scaled(nothing, rows, total_bytes, row_bytes)
        size = seen.rows * seen.stored
        reading = _cut(recipe, size, size, workers)
    else:
        found = sample_input(recipe, plan, required_roles(recipe))
        seen = _scaled(found, rows, total_bytes, row_bytes)
        spools = any(task.spool for task in plan.tasks)
        reading = Reading(len(plan.tasks), chosen, spools)
        if seen != found:
            share = seen.rows * seen.stored / max(found.rows * found.stored, 1)
            expanded = sum(recipe.read.expanded(file) for file in plan.files)
            reading = _cut(recipe, share * found.bytes, share * expanded, workers)
            reading = replace(reading, spools=spools)
    if limit is not None:  # one task, however much there is
        seen = replace(seen, rows=min(seen.rows, limit))
        reading = replace(reading, tasks=1)
    return seen, reading, remarks


def _scaled(seen: Input, rows: int | None, total_bytes: int | None, row_bytes: int | None) -> Input:
    """Return an input of so many rows like those that were seen."""
    if row_bytes is not None:
        stored = seen.stored - seen.content + row_bytes
        seen = replace(seen, content=float(row_bytes), stored=stored)
    if total_bytes is not None:
        rows = max(1, round(total_bytes / max(seen.content, 1.0)))
    return seen if rows is None else replace(seen, rows=rows, known="given")


def _cut(recipe: Recipe, size: float, expanded: float, workers: int | None) -> Reading:
    """Return how `run` would read files of `size` bytes that hold `expanded` bytes."""
    chosen, target = cut_of(int(size), recipe, recipe.run.runner, workers)
    return Reading(max(1, math.ceil(expanded / target)), chosen, False)


def sample_input(recipe: Recipe, plan: ReadPlan, required: tuple[str, ...]) -> Input:
    """Read the first rows of the input and tell how many there are and what one holds.

    Raises:
        UserError: nothing could be read, or a column that the recipe needs is not there.
    """
    read = recipe.read
    tables: list[pa.Table] = []
    seen = 0
    for chunk in chain.from_iterable(read_task(read, t, required=required) for t in plan.tasks):
        seen += len(chunk)
        if len(chunk.table):
            tables.append(chunk.table)
        if seen >= SAMPLED:
            break
    if not tables:
        first = plan.files[0].name
        raise UserError(f"none of the first {seen:,} records can be read ({first}): see there")
    table = pa.concat_tables(tables, promote_options="permissive")
    shown = table.drop_columns([name for name in (KEY, ID) if name in table.column_names])
    rows, known = _count(read, plan, table, seen, shown.nbytes / len(table))
    vectors = _vectors(table, recipe.steps)
    added = sum(4 * size for name, size in vectors.items() if name not in table.column_names)
    return Input(
        files=len(plan.files),
        bytes=sum(file.size for file in plan.files),
        rows=rows,
        known=known,
        sampled=seen,
        content=_content(table, read) / len(table),
        stored=shown.nbytes / len(table) + added,
        vectors=vectors,
    )


def _count(
    read: Source, plan: ReadPlan, table: pa.Table, seen: int, row_bytes: float
) -> tuple[int, Known]:
    """Return the number of rows of the input and how it is known."""
    if read.one_row_per_file:
        return len(plan.files), "counted"
    if read.format == "parquet":
        return _count_parquet(plan)
    expanded = sum(read.expanded(file) for file in plan.files)
    if read.unit == "byte":
        at = np.diff(position_of(table[KEY].to_numpy()))
        if (at > 0).any():  # what a line takes up in its file; each file begins at 0
            row_bytes = float(at[at > 0].mean())
    return max(1, round(expanded / max(row_bytes, 1.0))), "estimated"


def _count_parquet(plan: ReadPlan) -> tuple[int, Known]:
    """Return the rows of Parquet files by their footers, of the first FOOTERS files at most."""
    import pyarrow.parquet as pq

    rows = size = 0
    for file in plan.files[:FOOTERS]:
        with files.open_table(file.path) as source:
            rows += int(pq.read_metadata(source).num_rows)
        size += file.size
    if len(plan.files) <= FOOTERS:
        return rows, "counted"
    return round(rows * sum(file.size for file in plan.files) / max(size, 1)), "estimated"


def _content(table: pa.Table, read: Source) -> float:
    """Return the bytes of all texts and images."""
    rows = Rows(table, read.present(table.column_names))
    total = 0.0
    if rows.columns.text is not None:
        total += pc.sum(pc.binary_length(rows.text)).as_py() or 0
    if rows.columns.image is not None:
        total += pc.sum(pc.binary_length(rows.image_bytes)).as_py() or 0
    return total


def _vectors(table: pa.Table, steps: tuple[Step, ...]) -> dict[str, int]:
    """Return the columns of vectors, those that `embed` would add among them, and their lengths."""
    found: dict[str, int] = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if pa.types.is_fixed_size_list(kind):
            found[name] = int(kind.list_size)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            lengths = pc.list_value_length(table[name])
            found[name] = int(pc.max(lengths).as_py() or 0)
    models = {"minilm": MINILM_DIMENSIONS, "image": IMAGE_DIMENSIONS}
    for step in steps:
        if step.op == "embed":
            options = dict(step)
            found[options["column"]] = models.get(options["model"], options["dimensions"])
    return found
