"""Mix sources: the rows with each value of a column get a given share of the result."""

from collections.abc import Iterator
from math import fsum
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.exchange.mail import Message, note
from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.select.mixture import largest_total, share_out, tempered_shares
from pipelines.rows import KEY, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import send_home, verdict_table
from pipelines.steps.select.ranking import group_numbers, numbers_of
from pipelines.steps.select.selection import Selection

_REST = np.uint64(1)
"""Group of the rows whose value `shares` does not name."""
_SLACK = 1e-9


class Mix(Selection):
    """Keep as many rows of each value of a column as give the result the shares asked for.

    No row is taken twice. Of a value with less than its share all rows are kept, and what it lacks
    is taken from the others in proportion to their shares; the report notes it. Without a budget,
    the result is the largest in which every value has its share. For up to some thousands of
    values: their sizes meet in one place. Reasons: `not_selected`; `not_in_mix` for values without
    a share.
    """

    one_place: ClassVar[bool] = True
    optional: ClassVar[bool] = True

    op: Literal["mix"] = "mix"
    rows: int | None = Field(default=None, ge=1)
    """Rows of the result."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Size of the result, as a fraction of the rows whose values have a share."""
    tokens: int | None = Field(default=None, ge=1)
    """Words of the result, as `word_count` counts them; the shares are then shares of words."""
    by: str
    """Column whose values are mixed, such as the source or the language."""
    shares: dict[str, float] | None = None
    """Share of the result by value. What is left of 1 goes to all other values together; if the
    shares add up to 1, other values and nulls are dropped."""
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Instead of shares: the share of each value is in proportion to size^(1/temperature). 1 keeps
    the proportions, more gives small values a larger share (mT5 and XLM-R: 3.3), and with 1000 all
    have the same."""
    prefer: str | None = None
    """Numeric column: the rows with its highest numbers are kept of each value in `by`; random rows
    if left out."""

    @model_validator(mode="after")
    def _one_mixture(self) -> Self:
        if (self.shares is None) == (self.temperature is None):
            raise UserError("give either `shares` or `temperature`")
        if self.shares is None:
            return self
        total = fsum(self.shares.values())
        wrong = {name: share for name, share in self.shares.items() if not 0 <= share <= 1}
        if wrong:
            raise UserError(f"shares lie between 0 and 1, not as in {wrong}")
        if total > 1 + _SLACK:
            raise UserError(f"shares add up to {total:g}; they may add up to 1 at most")
        if not total:
            raise UserError("give at least one value a share above 0")
        return self

    def ranked(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the rows by preference or at random, by value."""
        groups = group_numbers(rows.strings(self.by, "`by`"))
        if self.shares is not None:
            groups[~np.isin(groups, self._named)] = _REST
        scores = numbers_of(rows, self.prefer, "`prefer`") if self.prefer is not None else None
        return self.ranking(rows, chance, scores, groups)

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the ranking of what is mixed, and drop the rest."""
        groups = signed["group"].to_numpy()
        out = np.isin(groups, self._without_share)
        if out.any():
            dropped = verdict_table(signed[KEY].to_numpy()[out], "not_in_mix")
            yield from send_home(dropped, np.full(len(dropped), number))
        if not out.all():
            yield from super().send(signed.filter(pa.array(~out)), number, shards)

    def budgets(self, groups: UInt64, rows: Int64, weights: Int64) -> Int64:
        """Return what each value may have."""
        shares = self._shares_of(groups, weights)
        return share_out(self._total(shares, rows, weights), shares, weights)

    def notes(self, found: pa.Table) -> Iterator[Message]:
        """Note where shares could not be met."""
        yield from super().notes(found)
        groups, rows, weights = (found[name].to_numpy() for name in ("group", "rows", "weight"))
        shares = self._shares_of(groups, weights)
        total = self._total(shares, rows, weights)
        short = int((np.floor(shares * total * (1 - _SLACK)) > weights).sum())
        if short:
            yield note(self.op, "values with less than their share: all of it kept", short)
        for (name, share), number in zip((self.shares or {}).items(), self._named, strict=True):
            if share > 0 and number not in groups:
                yield note(self.op, f"no row has {self.by}: {name}; others get its share", 1)

    def _shares_of(self, groups: UInt64, weights: Int64) -> Floats:
        """Return the share of each group; they add up to 1."""
        if self.shares is None:
            assert self.temperature is not None
            return tempered_shares(weights, self.temperature)
        share = dict(zip(self._named.tolist(), self.shares.values(), strict=True))
        share[int(_REST)] = self._left
        shares = np.array([share[group] for group in groups.tolist()])
        return np.asarray(shares / max(shares.sum(), _SLACK), np.float64)

    def _total(self, shares: Floats, rows: Int64, weights: Int64) -> int:
        """Return how large the result is, in rows or words."""
        if self.fraction is not None:
            return round(self.fraction * int(rows[shares > 0].sum()))
        return self.rows or self.tokens or largest_total(shares, weights)

    @property
    def _left(self) -> float:
        """Return the share of values that are not named."""
        left = 1 - fsum((self.shares or {}).values())
        return left if left > _SLACK else 0.0

    @property
    def _named(self) -> UInt64:
        """Return the group of each value of `shares`."""
        return group_numbers(pa.array(list(self.shares or ()), pa.string()))

    @property
    def _without_share(self) -> UInt64:
        """Return the groups of which nothing is kept."""
        if self.shares is None:
            return np.empty(0, np.uint64)
        none = [n for n, share in zip(self._named, self.shares.values(), strict=True) if not share]
        return np.array([*none, *([] if self._left else [_REST])], np.uint64)
