"""Which classes lose rows at a step: counts by label, and a few rows of each to show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipelines.maths.arrays import Mask
from pipelines.rows import Rows
from pipelines.rows.keys import copy_of
from pipelines.rows.profile import MOST_LABELS, encoded_labels

SHOWN = 3
"""Rows of each label whose keys are kept: the first in the input."""


@dataclass
class LostRows:
    """Rows of one label that a step took out."""

    rows: int = 0
    keys: list[int] = field(default_factory=list)
    """Of at most SHOWN of them."""

    def add(self, other: LostRows) -> None:
        """Add other rows of the label."""
        self.rows += other.rows
        self.keys = sorted(self.keys + other.keys)[:SHOWN]


@dataclass
class Losses:
    """Rows of the input that a step dropped or quarantined, by label; see `ProfileCounts`."""

    labels: dict[str, LostRows] = field(default_factory=dict)
    """Empty where there are too many labels; rows without one are not counted."""
    many_labels: bool = False

    def count(self, rows: Rows, out: Mask) -> None:
        """Count the rows of a batch that the mask takes out; derived rows are not of the input."""
        gone = np.flatnonzero(out)
        gone = gone[copy_of(rows.keys[gone]) == 0]
        found = None if self.many_labels else encoded_labels(rows, gone)
        if found is None:
            return
        names, codes = found
        keys = rows.keys[gone[codes >= 0]]
        codes = codes[codes >= 0]
        order = np.lexsort((keys, codes))
        ordered = keys[order].tolist()
        present, first, counts = np.unique(codes[order], return_index=True, return_counts=True)
        new = Losses()
        for code, start, n in zip(present.tolist(), first.tolist(), counts.tolist(), strict=True):
            shown = ordered[start : start + min(n, SHOWN)]
            new.labels.setdefault(names[code], LostRows()).add(LostRows(n, shown))
        self.add(new)

    def add(self, other: Losses) -> None:
        """Add the losses of the same step among other rows."""
        for name, lost in other.labels.items():
            self.labels.setdefault(name, LostRows()).add(lost)
        self.many_labels |= other.many_labels or len(self.labels) > MOST_LABELS
        if self.many_labels:
            self.labels.clear()
