"""Rows that nobody could count: what is missing where a file was not read to its end."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.readers import compression
from pipelines.readers.read_plan import ReadPlan
from pipelines.readers.reader import REST_LOST
from pipelines.readers.source import Source
from pipelines.rows.keys import file_of, position_of


@dataclass(frozen=True)
class Loss:
    """One file of which some rows could not be read."""

    file: str
    where: str
    """From where on, as the ledger says it."""
    rows: int
    """About how many rows are missing; at least one."""
    guessed: bool
    """Whether nothing tells more than that rows are missing."""

    def __str__(self) -> str:
        """Return the loss in words."""
        about = "at least" if self.guessed else "about"
        return f"{self.file}: {self.where}, {about} {self.rows:,} row{'s' * (self.rows != 1)} lost"


def losses(ledger: Iterable[pa.Table], read: Source, plan: ReadPlan) -> list[Loss]:
    """Return what is missing of each file that was not read to its end, in the order of the input.

    How many rows that is follows from the bytes that are missing and those of a row: of the same
    file, where the format counts bytes, or else of the files alike that were read whole.
    """
    rows, first = np.zeros(len(plan.files), np.int64), dict[int, tuple[int, str]]()
    for part in ledger:
        numbers = file_of(part["key"].to_numpy())
        rows += np.bincount(numbers, minlength=len(rows))
        lost = part.filter(pc.fill_null(pc.match_substring(part["error"], REST_LOST), False))
        at = lost["key"].to_numpy()
        for number, position, where in zip(
            file_of(at).tolist(), position_of(at).tolist(), lost["where"].to_pylist(), strict=True
        ):
            rows[number] -= 1
            first.setdefault(number, (position, where))
    found = []
    for number, (position, where) in sorted(first.items()):
        file, seen = plan.files[number], int(rows[number])
        kind = compression.compression_of(file.path)
        if read.unit == "byte" and seen and kind is None:
            usual = position / seen
            missing = (file.size - position) / usual
        else:
            alike = [
                i
                for i, other in enumerate(plan.files)
                if i not in first and rows[i] and compression.compression_of(other.path) == kind
            ]
            known = sum(plan.files[i].size for i in alike)
            missing = file.size * rows[alike].sum() / known - seen if known else 0
        estimate = max(1, round(missing))
        found.append(Loss(file.name, where, estimate, guessed=missing < 1))
    return found
