"""Generated datasets on disk, and one finished proof that several tests look at."""

from pathlib import Path

import numpy as np
import pytest
from tiny_datasets import CLASSES, flipped, picture, run_texts, sentences, write_split


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw with 45 % wrong labels, clean = its right rows, half = a random half, and test."""
    home = tmp_path_factory.mktemp("texts")
    x, y = sentences(1600, seed=1)
    noisy = flipped(y, 0.45, seed=2)
    right = np.flatnonzero(noisy == y)
    half = np.random.default_rng(3).choice(len(x), len(right), replace=False)
    for name, rows in (("raw", np.arange(len(x))), ("clean", right), ("half", half)):
        columns = {"text": [x[row] for row in rows], "label": noisy[rows]}
        write_split(home / name / "train", columns, names=CLASSES, shards=2)
    x, y = sentences(800, seed=4)
    write_split(home / "test", {"text": x, "label": y}, names=CLASSES)
    return home


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw with 40 % wrong labels, clean = its right rows, and test."""
    home = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600)
    x = [{"bytes": picture(label, rng), "path": None} for label in y]
    noisy = flipped(y, 0.4, seed=1)
    right = np.flatnonzero(noisy[:400] == y[:400])
    for name, rows, labels in (
        ("raw", np.arange(400), noisy),
        ("clean", right, noisy),
        ("test", np.arange(400, 600), y),
    ):
        write_split(home / name, {"image": [x[row] for row in rows], "label": labels[rows]})
    return home


@pytest.fixture(scope="session")
def proven(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of one finished text proof with heavy label noise removed."""
    out = tmp_path_factory.mktemp("proven")
    run_texts(texts, "clean", out, sizes=3, rates=(0.5, 2.0), skip=())
    return out
