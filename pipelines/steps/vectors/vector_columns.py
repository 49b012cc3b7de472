"""The shape of every step on vectors: sizes → plan → sample, then what is fitted to the sample."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.exchange.mail import Mail, Message, Round, home, home_number, message
from pipelines.maths.arrays import Floats, Grid, Int64, Keys, Mask, Vectors
from pipelines.maths.vectors.unit_vectors import similarities, similarity_grid
from pipelines.rows import HOME, KEY, MissingColumn, Rows, whole
from pipelines.rows.chance import Chance
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import WHOLE, Corpus, Site, send_home, verdict_table
from pipelines.steps.evidence import EVIDENCE

VECTOR = "_vector"
"""Column of the vectors of rows of an earlier run, whatever it was called there."""
_GREATEST = 1e150
_SLACK = 4.0
"""Standard deviations by which more rows are drawn than wanted, so that seldom too few are."""


class VectorCorpus(Corpus):
    """A corpus step on a column of vectors that is fitted to a sample of bounded size.

    The sample consists of the rows with the smallest seeded hashes of their ids, in whatever shards
    they lie. Shards first post their sizes, so that each knows how small a hash must be and only
    the sample moves. Vectors must have as many numbers as most of the corpus: others are dropped as
    `odd_vector`.
    """

    column: str = "_embedding"
    """Column of vectors: made by `embed`, or one that came with the data."""

    @abstractmethod
    def sample_size(self, total: int) -> int:
        """Return how many of `total` rows the step is fitted to."""

    def described(self, rows: Rows, chance: Chance) -> dict[str, pa.Array]:
        """Return what the sample needs of each row besides its vector."""
        return {}

    def eligible(self, rows: Rows) -> Rows:
        """Return the rows that the step can use."""
        return rows

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key and length of the vector; rows without a vector of numbers raise."""
        rows = self._named(rows)
        lengths = vector_lengths(rows, self.column)
        vector_numbers(rows, self.column)
        return pa.table({KEY: rows.keys, "dimensions": lengths})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the number of rows by length of the vector."""
        lengths, rows = np.unique(signed["dimensions"].to_numpy(), return_counts=True)
        size = {HOME: np.full(len(lengths), number), "dimensions": lengths, "rows": rows}
        yield message(WHOLE, "size", pa.table(size))

    def draw_rounds(self, site: Site) -> tuple[Round, Round]:
        """Return the rounds that end with `plan` and the mail of kind `sample` at WHOLE."""

        def draw(address: str, mail: Mail) -> Iterator[Message]:
            return self.draw(site, home_number(address), mail["draw"])

        return Round(("size",), self._plan), Round(("draw",), draw)

    def usable(self, rows: Rows, dimensions: int) -> tuple[Rows, Vectors]:
        """Return the eligible rows with vectors of that length, not zero, and the unit vectors."""
        rows, vectors, nonzero = self.fitting(self.eligible(rows), dimensions)
        return rows.filter(nonzero), vectors[nonzero]

    def fitting(self, rows: Rows, dimensions: int) -> tuple[Rows, Vectors, Mask]:
        """Return the rows with vectors of that length, the unit vectors, and which are not zero."""
        rows = rows.filter(vector_lengths(rows, self.column) == dimensions)
        vectors = unit_vectors(rows, self.column, dimensions)
        return rows, vectors, np.any(vectors != 0, axis=1)

    def batches(self, site: Site, number: int, keys: Keys | None = None) -> Iterator[Rows]:
        """Yield the rows of shard `number` with their vectors in `column`; only `keys` if given."""
        return map(self._named, site.rows(number, keys))

    def _named(self, rows: Rows) -> Rows:
        """Return rows with their vectors in `column`, also those of an earlier run."""
        return rows.replace(self.column, rows.column(VECTOR)) if rows.are_earlier else rows

    def _plan(self, address: str, mail: Mail) -> Iterator[Message]:
        """Fix the length of vectors and the share of rows to draw; tell every shard."""
        size = mail["size"]
        lengths, at = np.unique(size["dimensions"].to_numpy(), return_inverse=True)
        rows, homes = size["rows"].to_numpy(), size[HOME].to_numpy()
        of_this_run = np.bincount(at, weights=np.where(of_earlier_run(homes), 0, rows))
        of_all, homes = np.bincount(at, weights=rows), np.unique(homes)
        dimensions = total = 0
        if len(lengths):
            usual = of_this_run.argmax()
            dimensions, total = int(lengths[usual]), int(of_all[usual])
        plan = {"dimensions": np.full(len(homes), dimensions), "total": np.full(len(homes), total)}
        table = pa.table({HOME: homes, **plan})
        yield message(WHOLE, "plan", table)
        for i, number in enumerate(homes.tolist()):
            yield message(home(number), "draw", table.slice(i, 1))

    def draw(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Post one shard's part of the sample; drop the rows with vectors of another length.

        A step that needs all vectors elsewhere posts them here as well.

        Args:
            site: where the rows lie.
            number: of the shard.
            told: one line; `dimensions`, the length of the vectors, and `total`, the number of rows
                with that length.
        """
        dimensions, total = told["dimensions"][0].as_py(), told["total"][0].as_py()
        size = self.sample_size(total)
        share = (size + _SLACK * np.sqrt(size)) / max(total, 1)
        for batch in self.batches(site, number):
            rows = self.eligible(batch)
            lengths = vector_lengths(rows, self.column)
            odd = lengths != dimensions
            verdicts = verdict_table(
                rows.keys[odd], "odd_vector", value=lengths[odd], threshold=dimensions
            )
            yield from send_home(verdicts, np.full(len(verdicts), number))
            drawn = site.chance.uniform(rows.ids) < share
            mine, vectors = self.usable(rows.filter(drawn), dimensions)
            if len(mine):
                columns = {KEY: mine.keys, "draw": site.chance.uniform(mine.ids)}
                columns |= {"vector": vector_column(vectors), **self.described(mine, site.chance)}
                yield message(WHOLE, "sample", pa.table(columns))


def drawn_first(sample: pa.Table, most: int) -> pa.Table:
    """Return the `most` rows of the smallest draws, in their order: the same for any shards."""
    return sample.sort_by([("draw", "ascending"), (KEY, "ascending")]).slice(0, most)


def vector_column(vectors: Vectors) -> pa.Array:
    """Return vectors, shape (rows, dimensions), as a column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def vector_matrix(column: pa.ChunkedArray) -> Vectors:
    """Return a column of fixed-size float32 lists as an array, shape (rows, dimensions)."""
    values = whole(column)
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(values), values.type.list_size), np.float32)


def held_vectors(batches: Iterable[Rows], column: str) -> pa.Table:
    """Return keys and unit vectors, as evidence, of rows whose vectors have the same length."""
    parts = []
    for rows in batches:
        vectors = unit_vectors(rows, column, int(vector_lengths(rows, column)[0]))
        parts.append(pa.table({KEY: rows.keys, EVIDENCE: vector_column(vectors)}))
    return pa.concat_tables(parts)


def similarities_of(evidence: pa.Array, left: Int64, right: Int64) -> Floats:
    """Return the cosine similarity of pairs of positions in a column of unit vectors."""
    vectors = vector_matrix(pa.chunked_array([evidence]))
    return similarities(vectors[left], vectors[right])


def similarity_grid_of(evidence: pa.Array) -> Grid:
    """Prepare a column of unit vectors for the similarities of many positions to many others."""
    return similarity_grid(vector_matrix(pa.chunked_array([evidence])))


def vector_lengths(rows: Rows, column: str) -> Int64:
    """Return how many numbers the vector of each row has.

    Raises:
        MissingColumn: no such column, or its values are not lists of numbers.
        ValueError: a row has no vector.
    """
    values = rows.column(column, "vector column")
    kind = values.type
    if values.null_count:
        raise ValueError(f"column {column!r} is null; each row needs a vector")
    fixed = pa.types.is_fixed_size_list(kind)
    lists = fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    inner = kind.value_type if lists else kind
    numeric = pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner)
    if not (lists and numeric):
        raise MissingColumn(
            f"column {column!r} holds {kind}, not lists of numbers: name a column of vectors, or "
            "make one with `embed`"
        )
    if fixed:
        lengths = np.full(len(values), kind.list_size, dtype=np.int64)
    else:
        lengths = pc.list_value_length(values).to_numpy().astype(np.int64)
    if not lengths.all():
        raise ValueError(f"column {column!r} has an empty vector")
    return lengths


def unit_vectors(rows: Rows, column: str, dimensions: int) -> Vectors:
    """Return the vectors of a column scaled to length 1, shape (rows, dimensions); 0 stays 0.

    Raises:
        ValueError: a vector has a value that is null or not finite.
    """
    vectors = vector_numbers(rows, column).reshape(len(rows), dimensions)
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    scaled: Vectors = (vectors / np.where(length == 0, 1, length)).astype(np.float32)
    return scaled


def vector_numbers(rows: Rows, column: str) -> Floats:
    """Return all numbers of a column of vectors, one after the other.

    Raises:
        ValueError: a number is null or not finite.
    """
    flat = rows.column(column).flatten().to_numpy(zero_copy_only=False)
    numbers = np.asarray(flat, dtype=np.float64)
    if not (np.abs(numbers) < _GREATEST).all():
        raise ValueError(f"column {column!r} has a value that is null, NaN, infinite or over 1e150")
    return numbers
