"""`dsir`: keep the texts that are most like those of a target."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.errors import UserError
from pipelines.exchange.mail import Mail, Message, Round, home, home_number, message
from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.sets.importance import bucket_counts, gumbel, log_ratios, log_weights
from pipelines.maths.text.tokens import tokenize
from pipelines.readers import READERS, Source, guess_format
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.rows import HOME, KEY, Rows, whole
from pipelines.rows.chance import Chance
from pipelines.rows.views import tokens_of
from pipelines.steps.corpus import WHOLE, Site, combine_address
from pipelines.steps.select.selection import Selection


class Dsir(Selection):
    """Keep a sample of texts that resembles a target (data selection by importance resampling).

    The weight of a text says how much likelier its words, and its pairs of neighbouring words, are
    in the target than in the corpus. Texts are drawn without replacement in proportion to their
    weights (Xie et al. 2023, arXiv:2302.03169). Weights grow with length, as in the authors' code,
    which also leaves out texts of fewer than 100 words: put `word_count` before. A text without
    words comes last. Reads the texts twice; shuffles 8 bytes per bucket and shard besides what the
    selection does. Reason: `not_selected`, with the log weight, and as threshold the log weight
    with which this row would have been kept.
    """

    needs: ClassVar[tuple[str, ...]] = ("text",)
    after_sign: ClassVar[tuple[str, ...]] = (
        "rows",
        "fraction",
        "tokens",
        "target",
        "target_text",
        "noise",
        "smoothing",
    )

    op: Literal["dsir"] = "dsir"
    target: str = Field(min_length=1)
    """File, folder, glob or URL of texts as you want them, in any format that a recipe can read;
    the file names tell which. Relative paths start at the folder where `curate` is called."""
    target_text: str | None = None
    """Column of the target that holds the text; `text` if left out."""
    noise: bool = True
    """Whether to draw in proportion to the weights; if not, the highest weights are kept."""
    smoothing: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Added to the target's count in each bucket; about 1 suits a small target."""
    buckets: int = Field(default=10_000, ge=1, le=1 << 20)
    """Number of buckets to which words and pairs are hashed."""

    def outside(self) -> str | None:
        """Return the target."""
        return f"the target {self.target}"

    def reads(self) -> tuple[str, ...]:
        """Return the path of the target."""
        return (self.target,)

    def source(self) -> Source:
        """Return the reader of the target, its format told by the file names."""
        kind = guess_format(self.target)
        return READERS[kind](format=kind, path=self.target, text=self.target_text)

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the n-grams of the batch by bucket, with the key of its first row."""
        counts = bucket_counts(tokens_of(rows), self.buckets)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(counts), self.buckets)
        return pa.table({KEY: rows.keys[:1], "counts": flat})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the n-grams of the shard by bucket."""
        address = combine_address("dsir", number, shards)
        yield message(address, "counts", self._sum(signed, [number]))

    def check_files(self) -> None:
        """Refuse a target that is not there or has no text."""
        next(target_texts(self.source()), None)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds that fit, weigh and cut."""

        def fit(address: str, mail: Mail) -> Iterator[Message]:
            return self._fit(site, mail["sum"])

        def weigh(address: str, mail: Mail) -> Iterator[Message]:
            return self._weigh(site, home_number(address), mail["fitted"])

        return (
            Round(("counts",), self._add),
            Round(("sum",), fit),
            Round(("fitted",), weigh),
            *self.cut_rounds(site),
        )

    def evidence(self, scores: Floats, cuts: Floats, hashes: UInt64) -> tuple[Floats, Floats]:
        """Return the log weight of each row, and the one with which it would have been kept."""
        drawn = gumbel(hashes) if self.noise else np.zeros(len(hashes))
        return scores - drawn, cuts - drawn

    def _add(self, address: str, mail: Mail) -> Iterator[Message]:
        """Sum up the n-grams of some shards."""
        counts = mail["counts"]
        yield message(WHOLE, "sum", self._sum(counts, _homes(counts)))

    def _sum(self, counts: pa.Table, homes: list[int]) -> pa.Table:
        """Return the sum of the column `counts`, and which shards it is of."""
        total = pa.FixedSizeListArray.from_arrays(pa.array(_total(counts)), self.buckets)
        return pa.table({HOME: [homes], "counts": total})

    def _fit(self, site: Site, counts: pa.Table) -> Iterator[Message]:
        """Compare corpus and target; store the log ratios of buckets where shards can read them."""
        raw = _total(counts)
        target = target_counts(self.source(), self.buckets)
        ratios = log_ratios(target, raw, self.smoothing) if raw.any() else np.zeros_like(raw)
        path = site.store(f"dsir-{site.chance.step}.npz", ratios=ratios)
        for number in _homes(counts):
            yield message(home(number), "fitted", pa.table({"path": [path]}))

    def _weigh(self, site: Site, number: int, fitted: pa.Table) -> Iterator[Message]:
        """Rank the rows of one shard by weight."""
        ratios = site.load(fitted["path"][0].as_py())["ratios"]
        ranked = [self._ranked(site, rows, ratios) for rows in site.rows(number)]
        yield from self.enter(site, number, pa.concat_tables(ranked))

    def _ranked(self, site: Site, rows: Rows, ratios: Int64) -> pa.Table:
        """Return the ranking of a batch."""
        weights = log_weights(tokens_of(rows), ratios)
        drawn = gumbel(site.chance.hashes(rows.ids)) if self.noise else 0.0
        return self.ranking(rows, site.chance, weights + drawn)


def target_texts(source: Source) -> Iterator[pa.Array]:
    """Yield the texts of a target, chunk by chunk.

    Raises:
        UserError: a record cannot be read, or there is no such column.
    """
    try:
        for task in make_plan(source).tasks:
            for chunk in read_task(source, task, required=("text",)):
                for bad in chunk.bad[:1]:
                    raise UserError(f"{bad.file}, {bad.where}: {bad.error}")
                name = source.present(chunk.table.column_names).text
                if name is not None:
                    yield whole(chunk.table[name]).cast(pa.string())
    except ValueError as error:
        raise UserError(f"dsir, `target` (`target_text` names its column): {error}") from error


def target_counts(source: Source, buckets: int) -> Int64:
    """Return the n-grams of a target by bucket.

    Raises:
        UserError: a record cannot be read, or there are no words.
    """
    counts = np.zeros(buckets, np.int64)
    for texts in target_texts(source):
        counts += bucket_counts(tokenize(texts), buckets)
    if not counts.any():
        raise UserError(f"dsir: target {source.path} has no words: name files with text")
    return counts


def _homes(table: pa.Table) -> list[int]:
    """Return the shards that some sums are of."""
    return list(whole(table[HOME]).flatten().to_pylist())


def _total(table: pa.Table) -> Int64:
    """Return the sum of the column `counts`."""
    vectors = whole(table["counts"])
    sums: Int64 = vectors.flatten().to_numpy().reshape(len(vectors), -1).sum(axis=0)
    return sums
