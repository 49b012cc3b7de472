"""Bookkeeping of one segment on one shard: every row that leaves a step is entered once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import numpy as np
import pyarrow as pa

from pipelines import files
from pipelines.ledger.entries import Places, Tally, failed
from pipelines.rows import MissingColumn, Rows
from pipelines.store_errors import STORE_ERRORS

Result = TypeVar("Result")

FATAL = (MissingColumn, ImportError, MemoryError, *files.TRANSIENT, *STORE_ERRORS)
"""Errors that condemn the recipe, the machine or a store, not a row."""


@dataclass
class Books:
    """Ledger records and tallies as they accrue."""

    places: Places
    ledger: list[pa.Table] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)

    def tally(self, number: int, op: str) -> Tally:
        """Return the counts of one step."""
        return self.tallies.setdefault(number, Tally(number, op))

    @contextmanager
    def timed(self, tally: Tally) -> Iterator[None]:
        """Add the time spent inside to a step."""
        start = perf_counter()
        try:
            yield
        finally:
            tally.seconds += perf_counter() - start

    def drop(self, tally: Tally, dropped: pa.Table) -> None:
        """Enter dropped rows."""
        tally.dropped += len(dropped)
        self._enter(tally, dropped)

    def quarantine(self, tally: Tally, quarantined: pa.Table) -> None:
        """Enter rows that could not be read or processed."""
        tally.quarantined += len(quarantined)
        self._enter(tally, quarantined)

    def _enter(self, tally: Tally, records: pa.Table) -> None:
        for entry in records["reason"].value_counts().to_pylist():
            tally.count(entry["values"], entry["counts"])
        self.ledger.append(records)

    def attempt(
        self, rows: Rows, tally: Tally, call: Callable[[Rows], Result]
    ) -> tuple[Rows, Result | None]:
        """Return `call(rows)` on the rows that do not make it raise; quarantine the others.

        The result is None where no row is left.
        """
        while len(rows):
            try:
                return rows, call(rows)
            except FATAL:
                raise
            except Exception:
                culprits = find_culprits(rows, call)
                if not culprits:  # each row passes alone: the step is at fault, not the data
                    raise
            records = failed(rows, culprits, tally.step, tally.op, self.places)
            self.quarantine(tally, records)
            keep = np.ones(len(rows), dtype=np.bool_)
            keep[[i for i, _ in culprits]] = False
            tally.lost.count(rows, ~keep)
            rows = rows.filter(keep)
        return rows, None


def find_culprits(
    rows: Rows, call: Callable[[Rows], object], first: int = 0
) -> list[tuple[int, Exception]]:
    """Return the positions of the rows that make `call` raise alone, found by halving."""
    try:
        call(rows)
    except FATAL:
        raise
    except Exception as error:
        if len(rows) <= 1:
            return [(first, error)] * len(rows)
    else:
        return []
    half = len(rows) // 2
    return [
        *find_culprits(rows.slice(0, half), call, first),
        *find_culprits(rows.slice(half, len(rows) - half), call, first + half),
    ]
