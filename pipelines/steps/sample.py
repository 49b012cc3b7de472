"""Keep a random part of the rows, of a known size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from pipelines.mail import Mail, Message, Round, message
from pipelines.rows import KEY, Rows, whole
from pipelines.steps.corpus import HOME, Corpus, Site, send_home, verdict_table
from pipelines.steps.step import Chance


class Sample(Corpus):
    """Keep a random sample of exactly `rows` rows or of `fraction` of them.

    Which rows is decided by a seeded hash of their ids: those with the smallest are kept, so a
    larger sample of the same seed contains the smaller one. With `by`, every value of that column
    is sampled alike (stratified). One shuffle of about 40 bytes a row. Reason: `not_sampled`.
    """

    op: Literal["sample"] = "sample"
    rows: int | None = Field(default=None, ge=1)
    """Rows to keep; with `by`, rows of each value. Fewer are kept only where there are fewer."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the rows to keep; with `by`, of each value."""
    by: str | None = None
    """Column whose values are sampled separately, for instance the label."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.rows is None) == (self.fraction is None):
            raise ValueError("give either `rows` or `fraction`")
        return self

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, hash and stratum."""
        stratum = pa.repeat("", len(rows))
        if self.by is not None:
            stratum = pc.fill_null(rows.column(self.by, "`by`").cast(pa.string()), "(null)")
        return pa.table({KEY: rows.keys, "hash": chance.hashes(rows.ids), "stratum": stratum})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post each stratum to one place."""
        for stratum in signed["stratum"].unique().to_pylist():
            mine = signed.filter(pc.equal(signed["stratum"], stratum)).drop("stratum")
            mine = mine.append_column(HOME, pa.repeat(np.int64(number), len(mine)))
            yield message(f"stratum:{stratum}", "drawn", mine)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the one round: the smallest hashes of a stratum are kept."""
        return (Round(("drawn",), self._solve),)

    def _solve(self, address: str, mail: Mail) -> Iterator[Message]:
        table = mail["drawn"]
        n = len(table)
        if self.fraction is not None:
            kept = round(self.fraction * n)
        else:
            kept = min(self.rows or n, n)
        order = np.lexsort((table[KEY].to_numpy(), table["hash"].to_numpy()))
        left_out = table.take(pa.array(order[kept:]))
        verdicts = verdict_table(whole(left_out[KEY]).to_numpy(), "not_sampled")
        yield from send_home(verdicts, left_out[HOME].to_numpy())
