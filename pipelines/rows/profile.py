"""What the rows look like before and after: small histograms that add up over shards."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.maths.arrays import Int64
from pipelines.options import Record
from pipelines.rows.merging import is_image, is_text
from pipelines.rows.rows import Rows
from pipelines.rows.texts import texts_of

STEPS_PER_OCTAVE = 2
MOST_LABELS = 10_000
"""Above this many distinct labels they are not counted: it is no column of classes."""


class ProfileCounts(Record):
    """A profile as the manifest holds it, sorted.

    Bin `i` of a histogram counts values in [2^(i/2), 2^((i+1)/2)); bin -1 counts zeros. Labels go
    by the text they would be stored as; rows without one are not counted among them.
    """

    rows: int = 0
    histograms: dict[str, dict[int, int]] = Field(default_factory=dict)
    """By what is measured, `characters` or `image bytes`: values in each bin."""
    labels: dict[str, int] = Field(default_factory=dict)
    """Rows of each label; empty where there are too many labels."""
    many_labels: bool = False


class Profile:
    """Histograms of text length (characters), image size (bytes) and labels, as they accrue."""

    def __init__(self) -> None:
        self.rows = 0
        self.histograms: dict[str, Counter[int]] = {}
        self.labels: Counter[str] = Counter()
        self.many_labels = False

    def add(self, rows: Rows) -> None:
        """Count a batch."""
        self.rows += len(rows)
        kinds = {field.name: field.type for field in rows.table.schema}
        text, image, label = rows.columns.text, rows.columns.image, rows.columns.label
        if text in kinds and is_text(kinds[text]):
            self._measure("characters", pc.utf8_length(rows.text))
        if image in kinds and is_image(kinds[image]):
            self._measure("image bytes", pc.binary_length(rows.image_bytes))
        if label in kinds and not self.many_labels and may_be_class(kinds[label]):
            self._count(rows.table[label])

    def _count(self, labels: pa.ChunkedArray) -> None:
        found = labels.drop_null().value_counts()
        names = texts_of(found.field("values")).to_pylist()
        counts: Counter[str] = Counter()
        for name, count in zip(names, found.field("counts").to_pylist(), strict=True):
            counts[name] += count
        self._merge_labels(counts, many=False)

    def _merge_labels(self, labels: dict[str, int], *, many: bool) -> None:
        self.labels.update(labels)
        self.many_labels |= many or len(self.labels) > MOST_LABELS
        if self.many_labels:
            self.labels.clear()

    def take_unlabelled(self) -> int:
        """Return how many labels are empty texts, and count them among the labels no more."""
        return self.labels.pop("", 0)

    def _measure(self, name: str, values: pa.Array) -> None:
        sizes = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        bins = np.full(len(sizes), -1, dtype=np.int64)
        positive = sizes > 0
        bins[positive] = np.floor(np.log2(sizes[positive]) * STEPS_PER_OCTAVE)
        found, counts = np.unique(bins, return_counts=True)
        histogram = self.histograms.setdefault(name, Counter())
        histogram.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: ProfileCounts) -> None:
        """Add the profile of other rows."""
        self.rows += other.rows
        for name, counts in other.histograms.items():
            self.histograms.setdefault(name, Counter()).update(counts)
        self._merge_labels(other.labels, many=other.many_labels)

    def counts(self) -> ProfileCounts:
        """Return what was counted so far."""
        return ProfileCounts(
            rows=self.rows,
            histograms={
                name: dict(sorted(bins.items())) for name, bins in sorted(self.histograms.items())
            },
            labels=dict(sorted(self.labels.items())),
            many_labels=self.many_labels,
        )


def encoded_labels(rows: Rows, at: Int64 | None = None) -> tuple[list[str], Int64] | None:
    """Return the labels there are, as `ProfileCounts` names them, and which of them each row has.

    Args:
        rows: a batch.
        at: the positions of the rows that are asked about; all if not given.

    Returns:
        names, of which some may be equal, and the position of the name of each row, -1 for none;
        None where no row has a label, or the column cannot hold classes.
    """
    name = rows.columns.label
    if name not in rows.table.column_names:
        return None
    column = rows.column(name)
    if not may_be_class(column.type):
        return None
    column = column if at is None else column.take(pa.array(at))
    if column.null_count == len(column):
        return None
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    encoded = column.dictionary_encode()
    names = texts_of(encoded.dictionary).to_pylist()
    codes: Int64 = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    if "" in names:  # no label either
        codes = np.where(codes == names.index(""), -1, codes)
    return names, codes


def may_be_class(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can hold labels that are counted."""
    tests = (is_text, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in tests)
