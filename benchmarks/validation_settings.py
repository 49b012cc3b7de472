"""Where a validation finds its data, and how much of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    quick: bool = False
    """Plumbing only: tiny sizes."""
    data: Path = DATA
    """Folder of the data sets that are not part of the repository."""
    vectors: Path | None = None
    """Vectors of the CIFAR-10N pictures in their order, as .npy; else they are made and kept."""
    chinchilla_csv: Path | None = None
    confident_learning: Path | None = None
    """Folder `cifar10` of the confident-learning paper's repository."""

    def size(self, *, quick: int, full: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full

    @property
    def seeds(self) -> int:
        """Return the seeds of trainings."""
        return self.size(quick=3, full=5)

    @property
    def cifar10n(self) -> Path:
        """Return the table of the CIFAR-10N pictures and labels."""
        return self.data / "images" / "cifar10n_train.parquet"
