"""How much data a recipe would read: counted where that is cheap, else estimated from a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.costs import Size
from curate.recipe import Recipe
from pipelines import files
from pipelines.keys import position_of
from pipelines.plan import ReadPlan, read_task
from pipelines.readers.source import Source
from pipelines.rows import ID, KEY, Rows
from pipelines.steps.step import Step
from pipelines.text_vectors import MINILM_DIMENSIONS

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


def sample_input(recipe: Recipe, plan: ReadPlan, required: tuple[str, ...]) -> Input:
    """Read the first rows of the input and tell how many there are and what one holds.

    Raises:
        ValueError: nothing could be read, or a column that the recipe needs is not there.
    """
    read = recipe.read
    tables: list[pa.Table] = []
    seen = 0
    for chunk in read_task(read, plan.tasks[0], required=required):
        seen += len(chunk)
        if len(chunk.table):
            tables.append(chunk.table)
        if seen >= SAMPLED:
            break
    if not tables:
        first = plan.files[0].name
        raise ValueError(f"none of the first {seen:,} records can be read ({first}): see there")
    table = pa.concat_tables(tables, promote_options="permissive")
    shown = table.drop_columns([name for name in (KEY, ID) if name in table.column_names])
    rows, known = _count(read, plan, table, seen, shown.nbytes / len(table))
    if plan.limit is not None:
        rows = min(rows, plan.limit)
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
    if read.one_row_a_file:
        return len(plan.files), "counted"
    if read.format == "parquet":
        return _count_parquet(plan)
    expanded = sum(read.expanded(file) for file in plan.files)
    if read.unit == "byte":
        at = position_of(table[KEY].to_numpy())
        if len(at) > 1 and at[-1] > at[0]:  # what a line takes up in its file
            row_bytes = float(at[-1] - at[0]) / (len(at) - 1)
    return max(1, round(expanded / max(row_bytes, 1.0))), "estimated"


def _count_parquet(plan: ReadPlan) -> tuple[int, Known]:
    """Return the rows of Parquet files by their footers, of the first FOOTERS files at most."""
    import pyarrow.parquet as pq

    rows = size = 0
    for file in plan.files[:FOOTERS]:
        with files.open_arrow(file.path) as source:
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
