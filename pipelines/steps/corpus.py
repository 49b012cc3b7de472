"""Steps that need the whole corpus: sign each batch, shuffle small columns, decide by row key."""

import io
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import files
from pipelines.exchange.earlier import open_earlier
from pipelines.exchange.mail import Message, Round, home, message, scatter
from pipelines.exchange.shards import open_rows
from pipelines.maths.arrays import Int64, Keys, UInt64
from pipelines.rows import KEY, Rows
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.step import Chance, Step

VERDICT = "verdict"
"""Kind of the messages that tell a shard which of its rows are dropped."""

EDIT = "edit"
"""Kind of the messages that say how to change rows that are kept; the first column is `_key`."""

MOST_PARTITIONS = 512
"""Most places where the hashes of a corpus meet."""
FEWEST_PARTITIONS = 16
"""Fewest places where pairs, and the rows of clusters, meet."""

WHOLE = "whole corpus"
"""Address where everything meets: only for what stays small, such as edges and samples."""

VERDICT_SCHEMA = pa.schema(
    [
        (KEY, pa.int64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("other", pa.string()),
        ("detail", pa.string()),
    ]
)


def combine_address(what: str, number: int, shards: int) -> str:
    """Return where what shard `number` posts is combined with that of others on the way to WHOLE.

    This makes a tree of two levels: about sqrt(shards) addresses combine the messages of about
    sqrt(shards) shards each, so that neither they nor WHOLE get too many. The number of addresses
    is odd because the numbers of working shards are multiples of a power of two: by an even number
    they would share few addresses.
    """
    return f"{what}:{number % (isqrt(shards) | 1)}"


def earlier_list(work: str, step: int) -> str:
    """Return the path of the list of key files that step number `step` compares the rows with."""
    return f"{work}/earlier-{step}.json"


@dataclass(frozen=True)
class Site:
    """What a corpus step may use in a round: the rows of all shards and its own randomness."""

    work: str
    segment: str
    chance: Chance
    shards: int = 1
    """About how many working shards there are; decides the number of partitions."""
    shelf: str = ""
    """Folder of the working shards, where that is not `work`."""

    @property
    def partitions(self) -> int:
        """Number of places over which pairs and the rows of clusters are spread."""
        return max(FEWEST_PARTITIONS, self.shards // 8)

    def rows(self, number: int, keys: Keys | None = None) -> Iterator[Rows]:
        """Yield the rows of working shard `number` in batches, or only those with `keys`.

        The number of an earlier run's home stands for one of its key files.
        """
        if of_earlier_run(number):
            paths = json.loads(files.read_bytes(earlier_list(self.work, self.chance.step)))
            return open_earlier(paths, number, keys)
        return open_rows(self.shelf or self.work, number, self.segment, keys)

    def store(self, name: str, **arrays: npt.NDArray[Any]) -> str:
        """Write arrays that every shard needs to one file and return its path.

        What is large and read by all shards goes through files, not through the shuffle.
        """
        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **arrays)
        path = f"{self.work}/{name}"
        files.write_bytes_atomically(path, sink.getvalue())
        return path

    def load(self, path: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a file written by `store`."""
        with np.load(io.BytesIO(files.read_bytes(path)), allow_pickle=False) as stored:
            return dict(stored)


class Corpus(Step):
    """Drops or changes rows after looking at all of them.

    `sign` runs on each batch while its views are in memory; `send` posts the signatures of a shard;
    each round of `rounds` turns mail into mail; what arrives at a shard's home as kind `verdict`
    (columns of VERDICT_SCHEMA, one line per dropped row) is the decision. A step that `edits` also
    sends mail of kind `edit`; `edit` gets it back together with the rows it is about.
    """

    after_sign: ClassVar[tuple[str, ...]] = ()
    """Options that `sign` does not use: runs that differ only in them share signatures."""
    edits: ClassVar[bool] = False
    """Whether the step changes rows."""
    stores: ClassVar[bool] = False
    """Whether the step can compare rows with what it `stored` of those of an earlier run."""

    @classmethod
    def lacks(cls) -> list[str]:
        """Return the methods that `edits` and `stores` call for and that are not there."""
        wanted = (("edit", cls.edits, Corpus.edit), ("stored", cls.stores, Corpus.stored))
        return [name for name, wants, empty in wanted if wants and getattr(cls, name) is empty]

    @abstractmethod
    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the small columns that this step needs of each row; the first is `_key`."""

    @abstractmethod
    def send(self, signed: pa.Table, number: int, shards: int) -> Iterable[Message]:
        """Post the signatures of shard `number`, one of about `shards`."""

    @abstractmethod
    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds that turn signatures into verdicts."""

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return what a later run needs to compare each row, one line per row: `_id` and columns.

        In that run, `sign` and the rounds get rows that have these columns alone, and keys
        `of_earlier_run`: see `pipelines.exchange.earlier`.
        """
        raise NotImplementedError

    def forgotten(self, verdicts: pa.Table) -> pa.ChunkedArray:
        """Return the `_key` of dropped rows that later runs are not held against: none.

        Args:
            verdicts: those of this step on the rows of a shard, as VERDICT_SCHEMA has them.
        """
        return verdicts[KEY].slice(0, 0)

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Return what the step measured about itself as one sentence for people."""
        return ", ".join(f"{name.replace('_', ' ')} {n:,.6g}" for name, n in measured.items())

    def edited_types(self) -> dict[str, pa.DataType]:
        """Return the types of the columns that `edit` adds, for rows without edits."""
        return {}

    def edit(self, rows: Rows, edits: pa.Table, chance: Chance) -> Rows:
        """Return the same rows, in the same order, changed as `edits` say.

        Args:
            rows: the rows of a batch that have edits and stay.
            edits: their edits, each with the `_key` of its row, in any order.
            chance: the randomness of the step.
        """
        raise NotImplementedError


def verdict_table(
    keys: Keys,
    reason: str,
    *,
    value: npt.ArrayLike = np.nan,
    threshold: npt.ArrayLike = np.nan,
    other: pa.Array | None = None,
    detail: pa.Array | None = None,
) -> pa.Table:
    """Return verdicts that drop the rows with `keys`, all for one reason; NaN stands for none."""

    def numbers(given: npt.ArrayLike) -> pa.Array:
        return pa.array(np.broadcast_to(np.asarray(given, np.float64), (n,)), from_pandas=True)

    n = len(keys)
    return pa.table(
        [
            pa.array(keys, pa.int64()),
            pa.repeat(reason, n),
            numbers(value),
            numbers(threshold),
            pa.nulls(n, pa.string()) if other is None else other,
            pa.nulls(n, pa.string()) if detail is None else detail,
        ],
        schema=VERDICT_SCHEMA,
    )


def post_by_hash(kind: str, table: pa.Table, hashes: UInt64, shards: int) -> Iterator[Message]:
    """Post rows to where equal hashes meet: one place gets about as many rows as a shard has."""
    to = hashes % np.uint64(max(1, min(shards, MOST_PARTITIONS)))
    for address, part in scatter(table, to, f"{kind}:{{}}".format):
        yield message(address, kind, part)


def send_home(verdicts: pa.Table, homes: Int64) -> Iterator[Message]:
    """Post verdicts to the shards where their rows live; `homes` has one number per verdict.

    Verdicts on rows of earlier runs are left out: there is nothing to decide on them.
    """
    ours = ~of_earlier_run(homes)
    if not ours.all():
        verdicts, homes = verdicts.filter(pa.array(ours)), homes[ours]
    for address, table in scatter(verdicts, homes, home):
        yield message(address, VERDICT, table)
