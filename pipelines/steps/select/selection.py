"""The shape of every selection under a budget: ranks → blocks → cut → verdicts.

A subclass says how rows rank (`ranked`), and exactly the best of each group are kept. A subclass
that must fit something first has rounds of its own; the last of them makes the table of `ranking`
at each shard's home and yields from `enter`; the `cut_rounds` do the rest.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
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
from pipelines.maths.select.budget import score_of
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.rows.views import tokens_of
from pipelines.steps.corpus import Corpus, Site, send_home, verdict_table
from pipelines.steps.select.ranking import UNGROUPED, ranking_table
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

_PARTITIONS = 64


class Selection(Corpus):
    """Keeps the best rows of each group until a budget is spent.

    The best have the highest score; of equal scores a seeded hash of the row id decides, then the
    place of the row in the input. A budget of rows keeps exactly that many. A budget of words keeps
    the best rows one after the other, up to the first that is too long for what is left. Each shard
    sends its ranking to its own home, 40 bytes per row: `send` cannot write files, only rounds can.
    Beyond that, about sqrt(rows) lines per shard are shuffled, or 150 bytes per row where groups
    have only a few rows. No place sees all rows, unless they are one shard. Measured: `groups`, and
    `budget_`, `available_` and `kept_` of rows or tokens.
    """

    reason: ClassVar[str] = "not_selected"
    budgeted: ClassVar[bool] = True
    one_place: ClassVar[bool] = False
    """Whether `budgets` must see all groups together: then there may be some thousands of them."""
    optional: ClassVar[bool] = False
    """Whether the step may do without a budget: then `budgets` says what is kept."""
    after_sign: ClassVar[tuple[str, ...]] = ("rows", "fraction")

    rows: int | None = Field(default=None, ge=1)
    """Rows to keep, of each group if there are groups; fewer only if there are fewer."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the rows to keep, of each group if there are groups."""
    tokens: int | None = Field(default=None, ge=1)
    """Words of text to keep, as `word_count` counts them, of each group if there are groups."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = sum(size is not None for size in (self.rows, self.fraction, self.tokens))
        if given > 1 or not (given or self.optional):
            raise UserError("give one of `rows`, `fraction` and `tokens`: how much is kept")
        return self

    @classmethod
    def lacks(cls) -> list[str]:
        """Return what `Corpus.lacks` does, and `ranked` where `sign` calls for it."""
        blank = cls.sign is Selection.sign and cls.ranked is Selection.ranked
        return super().lacks() + ["ranked"] * blank

    def roles(self) -> tuple[str, ...]:
        """Return the roles that this step reads: a budget of words needs a text."""
        counts_words = self.tokens is not None and "text" not in self.needs
        return (*self.needs, "text") if counts_words else self.needs

    def ranked(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return `ranking` of a batch: which rows are best, and of which group.

        Not needed by a subclass whose own `sign` and rounds do without it.
        """
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
            scores: the scores by which the rows were ranked.
            cuts: for each row, the score of the last row kept of its group; NaN where none is kept.
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
        """Return the table by which rows are selected: see `ranking.ranking_table`."""
        counts = None if self.tokens is None else tokens_of(rows).counts
        return ranking_table(rows, chance.hashes(rows.ids), scores, groups, counts)

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
        """Store the sorted ranking of shard `number` and post its blocks."""
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
        """Return what verdicts say of each group; `kept` of its `rows` rows are kept."""
        sizes = zip(kept.tolist(), rows.tolist(), strict=True)
        return [f"{kept:,} of {rows:,} rows kept" for kept, rows in sizes]

    def notes(self, found: pa.Table) -> Iterator[Message]:
        """Note where a budget did not do what a user may expect.

        Args:
            found: one line per group, with its rows, weight, budget, kept_rows and kept_weight.
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
        """Say in one sentence how much was asked for, was there, and was kept."""
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
        """Find the cut of each group, tell its shards, and measure what the budget gave."""
        found = cut_groups(singles, budgets)
        yield from tell(singles, found, "cut")
        unit = "rows" if self.tokens is None else "tokens"
        names = {"budget": f"budget_{unit}", "weight": f"available_{unit}"}
        names |= {"kept_weight": f"kept_{unit}", "rows": "available_rows", "kept_rows": "kept_rows"}
        figures = {name: found[column].to_numpy().sum() for column, name in names.items()}
        yield measure(site.chance.step, groups=len(found), **figures)
        yield from self.notes(found)

    def _judge(self, run: Run, number: int, found: pa.Table) -> Iterator[Message]:
        """Drop those rows of one shard that lie behind the cut of their group."""
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


def _name(site: Site, number: int) -> str:
    return f"ranked-{site.chance.step}-{number}.npz"


def _load(site: Site, number: int) -> Run:
    return site.load(f"{site.work}/{_name(site, number)}")
