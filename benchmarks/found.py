"""What a deduplication found: survivors held against groups of rows that are truly alike.

Every tool is judged by the rows it kept alone. `groups` gives each row the number of its group: the
components of all true pairs at a threshold, or what was planted together. One row of each group
should stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Positions = npt.NDArray[np.int64]
Kept = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """Rows to remove (all but one of each group), those removed, and those removed wrongly."""

    to_remove: int
    missed: int
    dropped: int
    lost: int
    """Rows dropped from groups of which no row is left."""

    @property
    def recall(self) -> float:
        """Return the share of the rows to remove that are gone."""
        return 1 - self.missed / self.to_remove if self.to_remove else 1.0

    @property
    def precision(self) -> float:
        """Return the share of the dropped rows of which a row of their group stays."""
        return 1 - self.lost / self.dropped if self.dropped else 1.0

    def figures(self) -> dict[str, float]:
        """Return all figures by name."""
        return {
            "recall": round(self.recall, 5),
            "precision": round(self.precision, 5),
            "to_remove": self.to_remove,
            "missed": self.missed,
            "dropped": self.dropped,
            "lost": self.lost,
        }


def measure(groups: Positions, kept: Kept) -> Found:
    """Count what was found and what was lost."""
    _, groups = np.unique(groups, return_inverse=True)
    rows = np.bincount(groups)
    left = np.bincount(groups[kept], minlength=len(rows))
    gone = left == 0
    return Found(
        to_remove=int((rows - 1).sum()),
        missed=int(np.maximum(left - 1, 0).sum()),
        dropped=int((~kept).sum()),
        lost=int(rows[gone].sum()),
    )


def pairs_found(left: Positions, right: Positions, kept: Kept) -> dict[str, float]:
    """Return how many pairs there are and the share of which not both rows stay."""
    both = kept[left] & kept[right]
    share = round(1 - float(both.mean()), 5) if len(left) else 1.0
    return {"pairs": len(left), "recall": share}


def components(rows: int, left: Positions, right: Positions) -> Positions:
    """Return the number of the connected component of each row."""
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(rows, rows))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
