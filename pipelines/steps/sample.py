"""Keep a random part of the rows, of a known size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.mail import Mail, Message, Round, message, scatter
from pipelines.rows import HOME, KEY, Rows, whole
from pipelines.steps.corpus import Corpus, Site, send_home, verdict_table
from pipelines.steps.step import Chance
from pipelines.tokens import hash_strings

_PARTITIONS = 64


class Sample(Corpus):
    """Keep a random sample of exactly `rows` rows or of `fraction` of them.

    Which rows is decided by a seeded hash of their ids: those with the smallest are kept, so a
    larger sample of the same seed contains the smaller one. With `by`, every value of that column
    is sampled alike (stratified; null is a value too). One shuffle; the rows of a value meet in one
    place, 24 bytes each. Reason: `not_sampled`.
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
        """Return key, hash and, with `by`, stratum."""
        drawn = pa.table({KEY: rows.keys, "hash": chance.hashes(rows.ids)})
        if self.by is None:
            return drawn
        return drawn.append_column("stratum", rows.strings(self.by, "`by`"))

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post each stratum to one place."""
        signed = signed.append_column(HOME, pa.repeat(np.int64(number), len(signed)))
        to = np.zeros(len(signed), dtype=np.uint64)
        if self.by is not None:
            to = hash_strings(whole(signed["stratum"])) % np.uint64(_PARTITIONS)
        for address, part in scatter(signed, to, "strata:{}".format):
            yield message(address, "drawn", part)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the one round: the smallest hashes of a stratum are kept."""
        return (Round(("drawn",), self._solve),)

    def _solve(self, address: str, mail: Mail) -> Iterator[Message]:
        table = mail["drawn"]
        strata = np.zeros(len(table), dtype=np.int64)
        if self.by is not None:
            encoded = whole(table["stratum"]).dictionary_encode(null_encoding="encode")
            strata = encoded.indices.to_numpy().astype(np.int64)
        sizes = np.bincount(strata)
        wanted = sizes * self.fraction if self.fraction else np.full(len(sizes), self.rows)
        order = np.lexsort((table[KEY].to_numpy(), table["hash"].to_numpy(), strata))
        place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[strata[order]]
        left_out = table.take(pa.array(order[place >= np.rint(wanted)[strata[order]]]))
        verdicts = verdict_table(left_out[KEY].to_numpy(), "not_sampled")
        return send_home(verdicts, left_out[HOME].to_numpy())
