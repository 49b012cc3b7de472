"""What the rows look like before and after: small histograms that add up over shards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rows import Rows

STEPS_PER_OCTAVE = 2
_MOST_LABELS = 10_000


class Profile:
    """Histograms of text length (characters), image size (bytes) and labels.

    Bin `i` of a histogram counts values in [2^(i/2), 2^((i+1)/2)); bin -1 counts zeros.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.histograms: dict[str, Counter[int]] = {}
        self.labels: Counter[str] = Counter()

    def add(self, rows: Rows) -> None:
        """Count a batch."""
        self.rows += len(rows)
        have = rows.table.column_names
        if rows.columns.text in have:
            self._measure("characters", pc.utf8_length(rows.text))
        if rows.columns.image in have:
            self._measure("image bytes", pc.binary_length(rows.image_bytes))
        if rows.columns.label in have and len(self.labels) <= _MOST_LABELS:
            labels = rows.column(rows.columns.label)
            if not pa.types.is_nested(labels.type) and not pa.types.is_floating(labels.type):
                for entry in labels.value_counts().to_pylist():
                    self.labels[str(entry["values"])] += entry["counts"]

    def _measure(self, name: str, values: pa.Array) -> None:
        sizes = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        bins = np.full(len(sizes), -1, dtype=np.int64)
        positive = sizes > 0
        bins[positive] = np.floor(np.log2(sizes[positive]) * STEPS_PER_OCTAVE)
        found, counts = np.unique(bins, return_counts=True)
        histogram = self.histograms.setdefault(name, Counter())
        histogram.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: dict[str, Any]) -> None:
        """Add a profile written by `to_dict`."""
        self.rows += other["rows"]
        for name, counts in other["histograms"].items():
            histogram = self.histograms.setdefault(name, Counter())
            histogram.update({int(b): n for b, n in counts.items()})
        self.labels.update(other["labels"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, sorted, for JSON."""
        return {
            "rows": self.rows,
            "histograms": {
                name: {str(b): counts[b] for b in sorted(counts)}
                for name, counts in sorted(self.histograms.items())
            },
            "labels": dict(sorted(self.labels.items())),
        }
