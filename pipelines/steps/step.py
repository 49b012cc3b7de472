"""What a step is: a frozen value whose fields are the options of the recipe.

Four kinds, one method each. `Map` changes rows, `Filter` judges rows, `Derive` makes new rows from
rows (augmentation); each sees one batch and must give the same answer however the corpus was cut
into batches. `Corpus` needs every row: see `pipelines.steps.corpus`.

A step that raises loses no batch: the engine halves the batch until the rows that raise stand
alone, and quarantines those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines.options import Options
from pipelines.rows import Mask, Rows


@dataclass(frozen=True)
class Verdicts:
    """One verdict a row: `code` 0 keeps it, `code` i drops it for `reasons[i - 1]`.

    `value` is what was measured and `threshold` what it was held against (NaN where there is
    none); `detail` says more in words (null where there is nothing to say).
    """

    code: npt.NDArray[np.int16]
    reasons: tuple[str, ...]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    detail: pa.Array | None = None

    @property
    def keep(self) -> Mask:
        """Which rows are kept, shape (rows,)."""
        return np.asarray(self.code == 0)


def within(
    value: npt.ArrayLike,
    at_least: float | None,
    at_most: float | None,
    *,
    below: str,
    above: str,
    detail: pa.Array | None = None,
) -> Verdicts:
    """Judge a measured `value` a row by inclusive bounds; None is no bound."""
    measured = np.asarray(value, dtype=np.float64)
    code = np.zeros(len(measured), dtype=np.int16)
    threshold = np.full(len(measured), np.nan)
    if at_most is not None:
        code[measured > at_most] = 2
        threshold[code == 2] = at_most
    if at_least is not None:
        low = measured < at_least
        code[low] = 1
        threshold[low] = at_least
    return Verdicts(code, (below, above), measured, threshold, detail)


def first_of(verdicts: Iterable[Verdicts]) -> Verdicts:
    """Merge verdicts on the same rows: the first that drops a row decides."""
    merged: Verdicts | None = None
    for verdict in verdicts:
        if merged is None:
            merged = verdict
            continue
        wins = merged.keep & ~verdict.keep
        merged = Verdicts(
            np.where(wins, verdict.code + len(merged.reasons), merged.code).astype(np.int16),
            merged.reasons + verdict.reasons,
            np.where(wins, verdict.value, merged.value),
            np.where(wins, verdict.threshold, merged.threshold),
        )
    if merged is None:
        raise ValueError("first_of needs at least one verdict")
    return merged


@dataclass(frozen=True)
class Chance:
    """Randomness as a parameter: a function of (recipe seed, step index, row id) alone."""

    seed: int
    step: int

    def _salt(self) -> int:
        return xxhash.xxh3_64_intdigest(f"{self.seed}:{self.step}".encode())

    def hashes(self, ids: pa.Array) -> npt.NDArray[np.uint64]:
        """Return one uniform 64-bit integer a row id, shape (rows,)."""
        salt, digest = self._salt(), xxhash.xxh3_64_intdigest
        names = ids.cast(pa.binary()).to_pylist()
        return np.fromiter((digest(name, salt) for name in names), np.uint64, len(names))

    def uniform(self, ids: pa.Array) -> npt.NDArray[np.float64]:
        """Return one number in [0, 1) a row id, shape (rows,)."""
        return (self.hashes(ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def generator(self, row_id: str) -> np.random.Generator:
        """Return the generator of one row."""
        return np.random.default_rng(xxhash.xxh3_64_intdigest(row_id.encode(), self._salt()))


COLUMN_OPTIONS = ("column", "columns", "by", "per", "group", "prefer")
"""Options that name columns."""


class Step(Options):
    """One entry of a recipe's `steps`."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Roles of `Columns` the step reads: any of text, image, label."""
    extra: ClassVar[str | None] = None
    """Name of the pip extra that brings what the step imports."""
    imports: ClassVar[tuple[str, ...]] = ()
    """Modules of that extra; looked for before anything runs."""

    op: str
    """Name of the operator."""

    def names(self) -> list[tuple[str, str]]:
        """Return (option, column) for each column that an option names and that must be there."""
        found, own = [], self.adds()
        for option in COLUMN_OPTIONS:
            value = getattr(self, option, None) or ()
            columns = (value,) if isinstance(value, str) else value
            found += [(option, name) for name in columns if name not in own]
        return found

    def adds(self) -> tuple[str, ...]:
        """Return the columns this step adds to the rows."""
        return ()

    def roles(self) -> tuple[str, ...]:
        """Return the roles this step reads with the options it has."""
        return self.needs

    def reads(self) -> tuple[str, ...]:
        """Return the paths of files, besides the input, that decide what this step does."""
        return ()

    def packages(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the extra and the modules this step needs with the options it has."""
        return self.extra, self.imports

    def outside(self) -> str | None:
        """Name the data from outside the corpus that this step's work rests on, if there is any."""
        return None


class Map(Step):
    """Changes or adds columns; keeps every row."""

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the same rows, in the same order, with columns changed or added."""
        raise NotImplementedError


class Filter(Step):
    """Keeps or drops each row for a reason."""

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Return one verdict a row, aligned with `rows`."""
        raise NotImplementedError


class Derive(Step):
    """Makes new rows from kept ones; stands after all filters and corpus steps."""

    copies: int
    """Rows made from each row."""

    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        """Return one new row for each row, same order and columns; `copy` counts from 0.

        The engine gives the new rows their key, `_id` and `_parent`.
        """
        raise NotImplementedError
