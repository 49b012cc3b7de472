"""Steps that choose rows by the direction of their vectors, which a zero vector does not have."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.exchange.mail import Message, message
from pipelines.maths.arrays import Vectors
from pipelines.rows import HOME, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import WHOLE, verdict_table
from pipelines.steps.vectors.vector_columns import VectorCorpus


class NonZeroVectors(VectorCorpus):
    """A step on vectors that drops rows whose vector is zero, as `zero_vector`.

    They count neither in the number of rows nor for the most common length of a vector.
    """

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, length of the vector and whether it is not zero."""
        signed = super().sign(rows, chance)
        numbers = rows.column(self.column).flatten().to_numpy(zero_copy_only=False)
        lengths = signed["dimensions"].to_numpy()
        squares = np.square(numbers.astype(np.float64))
        lengthy = np.add.reduceat(squares, np.cumsum(lengths) - lengths) > 0
        return signed.append_column("nonzero", pa.array(lengthy))

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the number of rows that are not zero, by length of the vector."""
        lengths, at = np.unique(signed["dimensions"].to_numpy(), return_inverse=True)
        rows = np.bincount(at, weights=signed["nonzero"].to_numpy(), minlength=len(lengths))
        size = {HOME: np.full(len(lengths), number), "dimensions": lengths}
        yield message(WHOLE, "size", pa.table({**size, "rows": rows.astype(np.int64)}))

    def placed(self, batch: Rows, dimensions: int) -> tuple[Rows, Vectors, pa.Table]:
        """Return the rows whose vectors have that length and are not zero.

        Returns:
            the rows; their unit vectors, shape (rows, dimensions); verdicts on zero vectors.
        """
        rows, vectors, nonzero = self.fitting(batch, dimensions)
        verdicts = verdict_table(rows.keys[~nonzero], "zero_vector")
        return rows.filter(nonzero), vectors[nonzero], verdicts
