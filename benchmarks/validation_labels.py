"""Confident-learning masks (Northcutt et al. 2021, arXiv:1911.00068) against other people's."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.validation_cifar import PICTURES, read_labels, read_vectors
from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Finding, not_checkable
from pipelines.maths.labels.confident import TOLERANCE, label_issues, partial_sums, thresholds
from pipelines.maths.labels.folds import fit_folds, predict

SOURCE = "Northcutt et al. 2021"
ENOUGH = 0.999
FOLDS = 3
PROJECTED = 128
"""Dimensions of a random projection of the vectors: the masks are compared, not the model."""
RELEASED = (
    "cifar10__train__model_resnet50__pyx.npy, train_pruned_conf_joint_only/train_mask.npy and "
    "cifar10_noisy_labels/*.json of confidentlearning-reproduce, by --confident-learning"
)

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Masks:
    """Which rows are label issues, by four hands."""

    ours: Mask
    cleanlab: Mask
    paper: Mask
    """Our thresholds and suggested classes by eq. 1: also rows whose likeliest class is their own
    label, where another class is the only one that reaches its threshold."""
    released: Mask | None = None

    def agreement(self, first: str, second: str) -> float:
        """Return the share of rows on which two masks agree."""
        return float((getattr(self, first) == getattr(self, second)).mean())


def masks(settings: Settings) -> list[Finding]:
    """Compare with cleanlab on our out-of-fold probabilities, and with the released masks."""
    found = [_against_cleanlab(settings)]
    if settings.confident_learning is None:
        claim = "Confident-learning masks from the released ResNet-50 probabilities"
        return [*found, not_checkable("masks", claim, SOURCE, "≥ 99.9 %", RELEASED)]
    return [*found, _against_released(settings.confident_learning)]


def find_masks(probabilities: FloatArray, labels: IntArray, released: Mask | None = None) -> Masks:
    """Return the masks for out-of-fold probabilities (n × classes) of labels."""
    find_label_issues = importlib.import_module("cleanlab.filter").find_label_issues

    of_class = thresholds(partial_sums(probabilities, labels))
    ours, suggested = label_issues(probabilities, labels, of_class)
    reached = (probabilities >= of_class - TOLERANCE).any(axis=1)
    theirs = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    return Masks(ours, np.asarray(theirs), reached & (suggested != labels), released)


def _against_cleanlab(settings: Settings) -> Finding:
    claim = "Our confident-learning masks are cleanlab 2.9's"
    if not settings.cifar10n.is_file():
        return not_checkable("masks", claim, "cleanlab 2.9", "≥ 99.9 %", PICTURES)
    labels, vectors = read_labels(settings.cifar10n), read_vectors(settings)
    rows = np.flatnonzero(vectors[:, :64].any(axis=1))[: settings.size(quick=400, full=50_000)]
    rng = np.random.default_rng(3)
    fold = rng.integers(0, FOLDS, len(rows))
    projection = rng.normal(size=(vectors.shape[1], PROJECTED)) / PROJECTED**0.5
    low = vectors[rows].astype(np.float64) @ projection
    low /= np.linalg.norm(low, axis=1, keepdims=True)
    found, flagged = {}, {}
    for name in ("worse", "random1"):
        y = labels[name][rows]
        probabilities = predict(fit_folds(low, y, fold, FOLDS, 10), low, fold)
        mask = find_masks(probabilities, y)
        found[name], flagged[name] = mask.agreement("ours", "cleanlab"), int(mask.ours.sum())
    return Finding(
        check="masks",
        claim=claim,
        source="cleanlab 2.9",
        published="≥ 99.9 % of rows",
        ours=", ".join(f"{name} {_percent(share)}" for name, share in found.items()),
        agreement="yes" if min(found.values()) >= ENOUGH else "no",
        n=f"{len(rows):,} pictures",
        spread="one set of folds",
        says=(
            f"Out-of-fold probabilities of {len(rows):,} CIFAR-10N pictures: logistic regression "
            f"in {FOLDS} folds on frozen EfficientNet-Lite0 vectors, projected at random to "
            f"{PROJECTED} dimensions to save time. Ours: "
            "`pipelines.maths.labels.confident`; theirs: "
            '`find_label_issues(filter_by="confident_learning")`. Flagged: '
            + ", ".join(f"{name} {number:,}" for name, number in flagged.items())
            + "."
        ),
        figures=found,
    )


def _against_released(folder: Path) -> Finding:
    found = {name: find_masks(*given) for name, given in released(folder)}
    pairs = {
        "ours": ("ours", "released"),
        "paper": ("paper", "released"),
        "cleanlab": ("cleanlab", "released"),
        "ours and cleanlab": ("ours", "cleanlab"),
    }
    shares = {
        kind: {name: mask.agreement(*pair) for name, mask in found.items()}
        for kind, pair in pairs.items()
    }
    least = {kind: min(of.values()) for kind, of in shares.items()}
    most = max(shares["ours"].values())
    full, rule = least["ours"] >= ENOUGH, least["paper"] >= ENOUGH
    return Finding(
        check="masks",
        claim="Confident-learning masks from the released ResNet-50 probabilities",
        source=SOURCE,
        published="≥ 99.9 % of rows",
        ours=f"eq. 1 with our thresholds ≥ {_percent(least['paper'])}; the mask of the product "
        f"{_percent(least['ours'])} to {_percent(most)}; ours against cleanlab 2.9 "
        f"≥ {_percent(least['ours and cleanlab'])}",
        agreement="yes" if full else "in part" if rule else "no",
        n=f"{len(found)} noise settings × {len(next(iter(found.values())).ours):,} pictures",
        spread="least of all settings",
        says=(
            "The released probabilities (float16), noisy labels and masks `conf_joint_only` of "
            f"{len(found)} settings of noise and sparsity. The released masks also flag a row "
            "whose likeliest class is its own label, if another class is the only one that "
            "reaches its threshold: eq. 1 of the paper as it stands. Our thresholds and "
            "suggested classes give "
            f"that mask on at least {_percent(least['paper'])} of the rows of every setting. "
            "**`drop_label_errors` leaves such rows alone, as cleanlab has done since**: its masks "
            f"agree with the released ones on {_percent(least['ours'])} to {_percent(most)}, "
            f"cleanlab 2.9's on {_percent(least['cleanlab'])} at the least, ours with cleanlab "
            f"2.9's on {_percent(least['ours and cleanlab'])} at the least."
        ),
        figures=shares,
    )


def released(folder: Path) -> Iterator[tuple[str, tuple[FloatArray, IntArray, Mask]]]:
    """Yield (setting, (probabilities, noisy labels, rows flagged)) of the paper's repository.

    Raises:
        ValueError: the folder holds no such setting.
    """
    files = sorted(folder.glob("*/cifar10__train__model_resnet50__pyx.npy"))
    if not files:
        raise ValueError(f"--confident-learning {folder}: nothing there; needs {RELEASED}")
    for path in files:
        sparsity, noise = path.parent.name.split("rates__")[1].split("__noise_amount__")
        sparsity, noise = sparsity.replace("_", "."), noise.replace("_", ".")
        name = (
            f"cifar10_noisy_labels__frac_zero_noise_rates__{sparsity}__noise_amount__{noise}.json"
        )
        by_file = json.loads((folder / "cifar10_noisy_labels" / name).read_text("utf-8"))
        kept = np.load(path.parent / "train_pruned_conf_joint_only" / "train_mask.npy")
        labels = np.array(list(by_file.values()), dtype=np.int64)
        yield f"noise {noise}, sparsity {sparsity}", (np.load(path).astype(float), labels, ~kept)


def _percent(share: float) -> str:
    """Return a share with two places, never rounded up to 100."""
    return f"{np.floor(1e4 * share) / 100:.2f} %"
