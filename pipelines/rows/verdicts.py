"""What a filter says of each row, and why."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.maths.arrays import Floats, Mask


@dataclass(frozen=True)
class Verdicts:
    """One verdict per row: `code` 0 keeps it, `code` i drops it for `reasons[i - 1]`.

    `value` is what was measured and `threshold` what it was compared with (NaN where there is
    none); `detail` says more in words (null where there is nothing to say).
    """

    code: npt.NDArray[np.int16]
    reasons: tuple[str, ...]
    value: Floats
    threshold: Floats
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
    """Judge one measured `value` per row by inclusive bounds; None is no bound."""
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
