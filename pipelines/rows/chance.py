"""Randomness as a parameter."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash

from pipelines.maths.arrays import Floats, UInt64


@dataclass(frozen=True)
class Chance:
    """Random numbers that depend on the recipe's seed, the number of the step and the row id alone.

    So they are the same however the corpus is cut, and whatever other rows there are.
    """

    seed: int
    step: int

    def _salt(self) -> int:
        return xxhash.xxh3_64_intdigest(f"{self.seed}:{self.step}".encode())

    def hashes(self, ids: pa.Array) -> UInt64:
        """Return one uniform 64-bit integer per row id, shape (rows,)."""
        salt, digest = self._salt(), xxhash.xxh3_64_intdigest
        names = ids.cast(pa.binary()).to_pylist()
        return np.fromiter((digest(name, salt) for name in names), np.uint64, len(names))

    def uniform(self, ids: pa.Array) -> Floats:
        """Return one number in [0, 1) per row id, shape (rows,)."""
        return (self.hashes(ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def generator(self, row_id: str) -> np.random.Generator:
        """Return the generator of one row."""
        return np.random.default_rng(xxhash.xxh3_64_intdigest(row_id.encode(), self._salt()))
