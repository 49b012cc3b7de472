"""CIFAR-10N (Wei et al. 2022, arXiv:2110.12088): noise rates, and what the noise costs."""

from __future__ import annotations

import tempfile
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Finding, half_width, not_checkable
from training.arrays import FloatArray
from training.recipes import RECIPES
from training.statistics.stats import estimate

SOURCE = "Wei et al. 2022"
LABELS = {
    "clean": "label",
    "aggre": "noisy_aggre_label",
    "random1": "noisy_random_label1",
    "random2": "noisy_random_label2",
    "random3": "noisy_random_label3",
    "worse": "noisy_worse_label",
}
RATES = {"aggre": 9.03, "random1": 17.23, "random2": 18.12, "random3": 17.64, "worse": 40.21}
ORDER = ("clean", "aggre", "random1", "worse")
ACCURACY = {"clean": 92.92, "aggre": 87.77, "random1": 85.02, "worse": 77.69}
"""Cross-entropy, ResNet-34, from the paper's leaderboard."""
PICTURES = "the CIFAR-10N pictures and labels (data/images/cifar10n_train.parquet), by --data"
TEST = 10_000
DRAWN = 0.75
"""Share of the training pictures that each seed draws, the same ones for every label set."""
SIDE = 160
"""Pixels the encoder sees where vectors are made here; the given ones are as large."""

IntArray = npt.NDArray[np.int64]


def noise_rates(settings: Settings) -> list[Finding]:
    """Compare each set of noisy labels with the clean one."""
    claim, published = "CIFAR-10N noise rates", _list(RATES)
    if not settings.cifar10n.is_file():
        return [not_checkable("noise", claim, SOURCE, published, PICTURES)]
    labels = read_labels(settings.cifar10n)
    found = {name: 100 * float((labels[name] != labels["clean"]).mean()) for name in RATES}
    worst = max(abs(found[name] - RATES[name]) for name in RATES)
    return [
        Finding(
            check="noise",
            claim=claim,
            source=SOURCE,
            published=published,
            ours=_list(found),
            agreement="yes" if worst < 0.05 else "no",
            n=f"{len(labels['clean']):,} pictures",
            spread="none: counts",
            says="Share of labels that differ from the clean one. The largest difference from a "
            f"published rate is {worst:.2f} points.",
            figures=found,
        )
    ]


def ordering(settings: Settings) -> list[Finding]:
    """Train the same head on clean, aggregate, random and worst labels."""
    claim = "CIFAR-10N: clean > aggre > random1 > worst"
    published = _list(ACCURACY) + " (ResNet-34, whole network)"
    if not settings.cifar10n.is_file():
        return [not_checkable("ordering", claim, SOURCE, published, PICTURES)]
    labels, vectors, rows = (*_labelled_vectors(settings),)
    train, test = split(rows, settings.size(quick=200, full=TEST))
    most = settings.size(quick=30, full=4_000)
    drawn = [
        np.random.default_rng([2, seed]).permutation(train)[: int(DRAWN * len(train))]
        for seed in range(settings.seeds)
    ]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", vectors)
        tables = {
            name: np.stack([
                probe(Path(folder), rows, labels[name][rows], test, labels["clean"][test],
                      seed=seed, steps=most)
                for seed, rows in enumerate(drawn)
            ])
            for name in ORDER
        }  # fmt: skip
    return [_ordered(claim, published, tables, len(drawn[0]), most)]


def probe(
    folder: Path, train: IntArray, y: IntArray, test: IntArray, truth: IntArray, *, seed: int,
    steps: int,
) -> FloatArray:  # fmt: skip
    """Train the instrument's linear head on the vectors in `folder`; return 1 or 0 a test row."""
    import torch

    from training.loop.fit import evaluate, fit
    from training.nets.models import Labelled, build_model, inputs

    torch.set_num_threads(1)
    recipe = RECIPES["features"]
    torch.manual_seed(seed)
    model = build_model(recipe, folder, int(max(y.max(), truth.max())) + 1)
    read = inputs(folder, recipe)
    fit(model, Labelled(read, train, y), recipe=recipe, steps=steps, seed=seed)
    return evaluate(model, Labelled(read, test, truth))[0].astype(np.float64)


def split(rows: IntArray, tested: int) -> tuple[IntArray, IntArray]:
    """Return training and test rows, drawn from one fixed seed."""
    drawn = np.random.default_rng(0).permutation(rows)
    return drawn[tested:], drawn[:tested]


def _labelled_vectors(
    settings: Settings,
) -> tuple[dict[str, IntArray], npt.NDArray[np.floating], IntArray]:
    """Return labels, vectors and the rows that have one."""
    labels = read_labels(settings.cifar10n)
    vectors = read_vectors(settings)
    rows = np.flatnonzero(vectors[:, :64].any(axis=1))
    return labels, vectors, rows[: settings.size(quick=500, full=len(rows))]


@cache
def read_vectors(settings: Settings) -> npt.NDArray[np.floating]:
    """Return a frozen EfficientNet-Lite0's vectors: those given, or made once and kept.

    Making them takes some 500 CPU-s; `training.pool.pretrained` keeps them for the next time.

    Raises:
        ValueError: the given file is of another number of pictures.
    """
    count = pq.ParquetFile(settings.cifar10n).metadata.num_rows
    if settings.vectors is not None:
        given = np.load(settings.vectors, mmap_mode="r")
        if given.ndim != 2 or len(given) != count:
            raise ValueError(
                f"--vectors {settings.vectors}: shape {given.shape}; needs one row for each of the "
                f"{count:,} pictures, in their order"
            )
        found: npt.NDArray[np.floating] = given.astype(np.float16)
        return found
    from training.pool.pretrained import image_vectors

    images = pq.read_table(settings.cifar10n, columns=["image"])["image"].combine_chunks()
    images = images.slice(0, settings.size(quick=500, full=count)).cast(pa.large_binary())
    recipe = RECIPES["features"].model_copy(update={"side": SIDE})
    return image_vectors(images, np.ones(len(images), np.bool_), recipe)


def read_labels(path: Path) -> dict[str, IntArray]:
    """Return the labels of each kind, in the pictures' order."""
    found = pq.read_table(path, columns=list(LABELS.values()))
    return {name: found[column].to_numpy().astype(np.int64) for name, column in LABELS.items()}


def _ordered(
    claim: str, published: str, tables: dict[str, FloatArray], trained: int, steps: int
) -> Finding:
    means = {name: 100 * float(tables[name].mean()) for name in ORDER}
    halves = {name: 100 * half_width(tables[name].mean(axis=1)) for name in ORDER}
    disjoint = all(means[a] - halves[a] > means[b] + halves[b] for a, b in pairwise(ORDER))
    gaps = {f"{a} − {b}": estimate(tables[a] - tables[b]) for a, b in pairwise(ORDER)}
    paired = all(gap.interval()[0] > 0 for gap in gaps.values())
    seeds, tested = tables["clean"].shape
    said = "; ".join(
        "{}: {:+.1f} points (95 % {:+.1f} to {:+.1f})".format(
            name, 100 * gap.mean, *(100 * end for end in gap.interval())
        )
        for name, gap in gaps.items()
    )
    return Finding(
        check="ordering",
        claim=claim,
        source=SOURCE,
        published=published,
        ours=_list(means),
        agreement="yes" if disjoint and paired else "in part" if paired else "no",
        n=f"{trained:,} train, {tested:,} test",
        seeds=seeds,
        spread="95 % over seeds: " + ", ".join(f"±{halves[name]:.2f}" for name in ORDER),
        says=(
            f"A linear head on frozen EfficientNet-Lite0 features (ImageNet), the recipe of the "
            f"`features` model, {steps:,} steps for every label set, tested once on {tested:,} "
            f"pictures with clean labels carved from the 50,000. Each seed draws its own training "
            f"pictures, the same for all label sets. Intervals over seeds are "
            f"{'disjoint' if disjoint else 'not all disjoint'}. Paired gaps over seeds and test "
            f"pictures: {said}. What is compared is the order: the levels are those of another "
            "network, and a linear head on frozen features resists noise that a whole network "
            "memorises, so the steps are smaller than published."
        ),
        figures={
            "accuracy": means,
            "per_seed": {name: tables[name].mean(axis=1).tolist() for name in ORDER},
            "paired": {name: [gap.mean, *gap.interval()] for name, gap in gaps.items()},
        },
    )


def _list(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} %" for name, value in values.items())
