"""Randomness as a parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash


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
