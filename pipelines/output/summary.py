"""What the planner of the output found, and which files were written: read when a run is over."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from pipelines import files
from pipelines.ledger.balance import balance
from pipelines.ledger.counts import Note, RowCounts, StepCounts
from pipelines.ledger.entries import Tally
from pipelines.output.written import WrittenFile
from pipelines.rows import Columns
from pipelines.rows.profile import ProfileCounts

OURS = "_curate/"
"""Folder of the output that holds no shards."""
LEDGER = f"{OURS}ledger/"


@dataclass(frozen=True)
class OutputSummary:
    """What is known of all shards together."""

    schema: str
    """Of the output, as `write_schema` returns it."""
    columns: Columns
    classes: tuple[str, ...] | None
    """Class names of a text label that is stored as numbers."""
    shards: tuple[int, ...]
    """Numbers of the working shards."""
    tallies: tuple[Tally, ...]
    """What each step did, by its number."""
    before: ProfileCounts
    after: ProfileCounts
    notes: tuple[Note, ...]


_SUMMARY, _WRITTEN = TypeAdapter(OutputSummary), TypeAdapter(tuple[WrittenFile, ...])


def write_summary(work: str, summary: OutputSummary) -> None:
    """Write what the planner found into the folder of the run."""
    files.write_bytes_atomically(f"{work}/summary.json", _SUMMARY.dump_json(summary))


def read_summary(work: str) -> OutputSummary:
    """Return what `write_summary` wrote."""
    return _SUMMARY.validate_json(files.read_bytes(f"{work}/summary.json"))


def write_written(work: str, written: Iterable[WrittenFile]) -> None:
    """Write which files the output has, by name, into the folder of the run."""
    ordered = tuple(sorted(written, key=lambda one: one.file))
    files.write_bytes_atomically(f"{work}/written.json", _WRITTEN.dump_json(ordered))


def read_written(work: str) -> tuple[WrittenFile, ...]:
    """Return what `write_written` wrote."""
    return _WRITTEN.validate_json(files.read_bytes(f"{work}/written.json"))


def balanced(
    summary: OutputSummary, written: Iterable[WrittenFile], ops: Sequence[str]
) -> tuple[RowCounts, list[StepCounts]]:
    """Return the rows of a run and of each step, after checking that they add up.

    Raises:
        Unbalanced: somewhere they do not.
    """
    shard_rows, fates = 0, Counter[str]()
    for one in written:
        shard_rows += 0 if one.file.startswith(OURS) else one.rows
        fates.update(one.fates or {})
    return balance(summary.tallies, ops, shard_rows, fates)


def rows_by_split(written: Iterable[WrittenFile]) -> dict[str, int]:
    """Return the rows of each split, by its name."""
    found = Counter[str]()
    for one in written:
        if not one.file.startswith(OURS):
            found[one.file.partition("/")[0]] += one.rows
    return dict(sorted(found.items()))
