"""The shape of every selection under a budget: ranks → blocks → cut → verdicts.

A subclass says how rows rank (`ranked`) and the core keeps the best of each group, exactly. One
that must fit something first has rounds of its own; the last of them, at each shard's home, makes
the table of `ranking` and yields from `enter`, and `cut_rounds` do the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.exchange.mail import (
    Mail,
    Message,
    Round,
    home,
    home_number,
    measure,
    message,
    note,
    scatter,
)
from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.select.budget import order_of, score_of
from pipelines.rows import KEY, MissingColumn, Rows, as_numbers
from pipelines.rows.chance import Chance
from pipelines.rows.views import tokens_of
from pipelines.steps.corpus import Corpus, Site, send_home, verdict_table
from pipelines.steps.select.sorted_runs import (
    Run,
    between,
    blocks_of,
    cut_groups,
    group_sizes,
    outside,
    ranks_of,
    singles_of,
    sorted_run,
    tell,
)

NULL_GROUP = np.uint64(0)
"""Number of the group of rows whose group is null."""
UNGROUPED = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Number of the group of all rows where there are no groups."""
_PARTITIONS = 64


class Selection(Corpus):
    """Keeps the best rows of each group until a budget is spent.

    The best have the highest score; ties go by a seeded hash of the row id, then by where the row
    stands. Of a budget of rows exactly that many are kept; of one of words the longest run of best
    rows that fits, which ends at the first row too long for what is left. Shuffled are 40 bytes a
    row, to the shard's own home, and about sqrt(rows) lines a shard; with groups of a few rows,
    150 bytes a row. No place sees all rows, unless they are one shard. Measured: `groups`, and
    `budget_`, `available_` and `kept_` of rows or tokens.
    """

    reason: ClassVar[str] = "not_selected"
    one_place: ClassVar[bool] = False
    """Whether `budgets` must see all groups together: for some thousands of groups at most."""
    optional: ClassVar[bool] = False
    """Whether a step may go without a budget: then `budgets` says what is kept."""
    after_sign: ClassVar[tuple[str, ...]] = ("rows", "fraction")

    rows: int | None = Field(default=None, ge=1)
    """Rows to keep; where there are groups, of each. Fewer only where there are fewer."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the rows to keep; where there are groups, of each."""
    tokens: int | None = Field(default=None, ge=1)
    """Words of text to keep, as `word_count` counts them; where there are groups, of each."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = sum(size is not None for size in (self.rows, self.fraction, self.tokens))
        if given > 1 or not (given or self.optional):
            raise UserError("give one of `rows`, `fraction` and `tokens`: how much is kept")
        return self

    def roles(self) -> tuple[str, ...]:
        """Return the roles this step reads: a budget of words needs a text."""
        counts_words = self.tokens is not None and "text" not in self.needs
        return (*self.needs, "text") if counts_words else self.needs

    def ranked(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return `ranking` of a batch: which rows are best, and of which group."""
        raise NotImplementedError

    def budgets(self, groups: UInt64, rows: Int64, weights: Int64) -> Int64:
        """Return what may be kept of each group, in rows or, if `tokens` is given, in words.

        Args:
            groups: numbers of groups, ascending.
            rows: number of rows of each.
            weights: number of rows of each, or of words if `tokens` is given.
        """
        if self.fraction is not None:
            of_each: Int64 = np.rint(rows * self.fraction).astype(np.int64)
            return of_each
        return np.full(len(groups), self.tokens if self.rows is None else self.rows, np.int64)

    def evidence(self, scores: Floats, cuts: Floats, hashes: UInt64) -> tuple[Floats, Floats]:
        """Return value and threshold of the verdicts on rows, NaN for none.

        Args:
            scores: by which the rows were ranked.
            cuts: score of the last row kept of their groups; NaN where none is.
            hashes: seeded hashes of the row ids.
        """
        return scores, cuts

    def ranking(
        self,
        rows: Rows,
        chance: Chance,
        scores: npt.ArrayLike | None = None,
        groups: UInt64 | None = None,
    ) -> pa.Table:
        """Return the table that rows are selected by, one line a row.

        Args:
            rows: the batch.
            chance: the randomness of the step.
            scores: float64 a row, the highest are kept, NaN comes last; None for a random order.
            groups: a number a row, as from `group_numbers`; None if all rows are one group.
        """
        n = len(rows)
        weights = np.ones(n, np.int64) if self.tokens is None else tokens_of(rows).counts
        return pa.table(
            {
                KEY: rows.keys,
                "order": np.zeros(n, np.uint64) if scores is None else order_of(scores),
                "hash": chance.hashes(rows.ids),
                "weight": weights.astype(np.int64),
                "group": np.full(n, UNGROUPED) if groups is None else groups.astype(np.uint64),
            }
        )

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the ranking."""
        return self.ranked(rows, chance)

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the ranking to the shard's own home."""
        yield message(home(number), "ranked", signed)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the five rounds from the ranking to verdicts."""

        def enter(address: str, mail: Mail) -> Iterator[Message]:
            return self.enter(site, home_number(address), mail["ranked"])

        return (Round(("ranked",), enter), *self.cut_rounds(site))

    def enter(self, site: Site, number: int, ranked: pa.Table) -> Iterator[Message]:
        """Store the ranking of shard `number`, sorted, and post its blocks."""
        run = sorted_run(ranked)
        site.store(_name(site, number), **run)
        yield from self._post(blocks_of(run, number), "block")

    def cut_rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the four rounds that turn what `enter` posts into verdicts."""

        def narrow(address: str, mail: Mail) -> Iterator[Message]:
            number = home_number(address)
            singles = singles_of(_load(site, number), number, mail["between"])
            return self._post(singles, "single")

        def conclude(address: str, mail: Mail) -> Iterator[Message]:
            return self._conclude(site, mail["single"], mail["budget"])

        def judge(address: str, mail: Mail) -> Iterator[Message]:
            number = home_number(address)
            return self._judge(_load(site, number), number, mail["cut"])

        return (
            Round(("block",), self._open),
            Round(("between",), narrow),
            Round(("single", "budget"), conclude),
            Round(("cut",), judge),
        )

    def details(self, groups: UInt64, kept: Int64, rows: Int64) -> list[str]:
        """Return what verdicts say of each group, of which `kept` of `rows` rows are kept."""
        sizes = zip(kept.tolist(), rows.tolist(), strict=True)
        return [f"{kept:,} of {rows:,} rows kept" for kept, rows in sizes]

    def notes(self, found: pa.Table) -> Iterator[Message]:
        """Note where a budget did not do what a user may expect.

        Args:
            found: a line a group with its rows, weight, budget, kept_rows and kept_weight.
        """
        rows, weight, budget = (found[n].to_numpy() for n in ("rows", "weight", "budget"))
        unit = "rows" if self.tokens is None else "words"
        short = int((weight < budget).sum())
        if short:
            yield note(self.op, f"groups with fewer {unit} than the budget: all kept", short)
        stuck = int(((found["kept_rows"].to_numpy() == 0) & (rows > 0) & (budget > 0)).sum())
        if stuck:
            what = "groups whose first text is longer than the budget: nothing kept"
            yield note(self.op, what, stuck)

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Return what was asked, there and kept as one sentence."""
        unit = "rows" if self.tokens is None else "tokens"
        said = [
            f"kept {measured[f'kept_{unit}']:,.0f} of {measured[f'available_{unit}']:,.0f} {unit}",
            f"budget {measured[f'budget_{unit}']:,.0f}",
        ]
        if self.tokens is not None:
            said.append(
                f"in {measured['kept_rows']:,.0f} of {measured['available_rows']:,.0f} rows"
            )
        if measured["groups"] > 1:
            said.append(f"{measured['groups']:,.0f} groups")
        return ", ".join(said)

    def _post(self, blocks: pa.Table, kind: str) -> Iterator[Message]:
        """Post blocks to the place where the cut of their group is found."""
        partitions = np.uint64(1 if self.one_place else _PARTITIONS)
        to = blocks["group"].to_numpy() % partitions
        for address, part in scatter(blocks, to, "cut:{}".format):
            yield message(address, kind, part)

    def _open(self, address: str, mail: Mail) -> Iterator[Message]:
        """Fix the budget of each group and tell its shards between which ranks the cut lies."""
        blocks = mail["block"]
        sizes = group_sizes(blocks)
        asked = (sizes[name].to_numpy() for name in ("group", "rows", "weight"))
        budgets = sizes.append_column("budget", pa.array(self.budgets(*asked)))
        yield message(address, "budget", budgets)
        yield from tell(blocks, between(blocks, budgets), "between")

    def _conclude(self, site: Site, singles: pa.Table, budgets: pa.Table) -> Iterator[Message]:
        """Find the cut of each group, tell its shards, and put on record what the budget gave."""
        found = cut_groups(singles, budgets)
        yield from tell(singles, found, "cut")
        unit = "rows" if self.tokens is None else "tokens"
        names = {"budget": f"budget_{unit}", "weight": f"available_{unit}"}
        names |= {"kept_weight": f"kept_{unit}", "rows": "available_rows", "kept_rows": "kept_rows"}
        figures = {name: found[column].to_numpy().sum() for column, name in names.items()}
        yield measure(site.chance.step, groups=len(found), **figures)
        yield from self.notes(found)

    def _judge(self, run: Run, number: int, found: pa.Table) -> Iterator[Message]:
        """Drop the rows of one shard that lie behind the cut of their group."""
        out, line = outside(run, found)
        if not out.any():
            return
        line, ranks = line[out], ranks_of(run).take(out)
        cuts = score_of(found["cut_order"].to_numpy()[line])
        value, threshold = self.evidence(score_of(ranks.order), cuts, ranks.hash)
        groups, kept, rows = (found[n].to_numpy() for n in ("group", "kept_rows", "rows"))
        said = pa.array(self.details(groups, kept, rows), pa.string())
        detail = pc.if_else(pa.array(groups == UNGROUPED), None, said)
        verdicts = verdict_table(
            ranks.key,
            self.reason,
            value=value,
            threshold=threshold,
            detail=detail.take(pa.array(line)),
        )
        yield from send_home(verdicts, np.full(len(verdicts), number))


def group_numbers(values: pa.Array) -> UInt64:
    """Return a number for each string, the same wherever it stands; null has NULL_GROUP.

    Two of a million different strings share their number with a chance of 3 in 10 million.
    """
    encoded = values.dictionary_encode(null_encoding="encode")
    numbers = [
        NULL_GROUP if value is None else xxhash.xxh3_64_intdigest(value.encode())
        for value in encoded.dictionary.to_pylist()
    ]
    return np.asarray(np.array(numbers, np.uint64)[encoded.indices.to_numpy()])


def numbers_of(rows: Rows, name: str, role: str) -> Floats:
    """Return a column of numbers as float64, NaN for null.

    Raises:
        MissingColumn: no such column, or it does not hold numbers.
    """
    values = rows.column(name, role)
    numbers = as_numbers(values)
    if numbers is None:
        raise MissingColumn(f"{role} {name!r} holds {values.type}; it takes numbers")
    return numbers


def _name(site: Site, number: int) -> str:
    return f"ranked-{site.chance.step}-{number}.npz"


def _load(site: Site, number: int) -> Run:
    return site.load(f"{site.work}/{_name(site, number)}")
