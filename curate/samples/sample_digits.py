"""The handwritten digits of the sample corpora: MNIST as PNG files, a clean test, dirt by seed."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Record = dict[str, Any]
Digit = npt.NDArray[np.uint8]

TEST_EACH = 100
NOISE = 0.3
"""Share of training digits that lie in the folder of a class they could be taken for."""
LOOKS_LIKE = (6, 7, 8, 5, 9, 3, 0, 1, 2, 4)
"""The class each digit is mistaken for: people confuse what looks alike."""
COPIES, RESAVED, DARK, BLANK, CUT = 100, 200, 15, 15, 6


def write_digits(source: Path, folder: Path, seed: int) -> list[Record]:
    """Write `train/<label>/*` and `test/<label>/*`; return the list of what was planted."""
    rng = np.random.default_rng([seed, 2])
    digits, labels = _read(source)
    for label in range(10):
        (folder / "train" / str(label)).mkdir(parents=True)
        (folder / "test" / str(label)).mkdir(parents=True)
    test = np.concatenate(
        [rng.choice(np.flatnonzero(labels == label), TEST_EACH, False) for label in range(10)]
    )
    for i in test:
        (folder / "test" / str(labels[i]) / f"{i:05d}.png").write_bytes(_png(digits[i]))
    train = np.setdiff1d(np.arange(len(labels)), test)
    planted: list[Record] = []
    given = labels.copy()
    for i in rng.choice(train, round(NOISE * len(train)), replace=False):
        given[i] = LOOKS_LIKE[labels[i]]
        planted.append(_note("wrong label", f"{given[i]}/{i:05d}.png", was=str(labels[i])))
    files = {f"{given[i]}/{i:05d}.png": _png(digits[i]) for i in train}
    dirty = _dirt(files, rng, planted)
    for name, data in {**files, **dirty}.items():
        (folder / "train" / name).write_bytes(data)
    return planted


def _read(source: Path) -> tuple[Digit, npt.NDArray[np.int64]]:
    """Return 28x28 digits and labels of a CSV with 784 pixels and a label a line."""
    from pyarrow import csv

    with gzip.open(source) as lines:
        table = csv.read_csv(
            pa.BufferReader(lines.read()),
            read_options=csv.ReadOptions(autogenerate_column_names=True),
        )
    values = np.stack([column.to_numpy() for column in table.columns], axis=1)
    return values[:, :-1].astype(np.uint8).reshape(-1, 28, 28), values[:, -1].astype(np.int64)


def _dirt(
    files: dict[str, bytes], rng: np.random.Generator, planted: list[Record]
) -> dict[str, bytes]:
    """Return more training files: copies, dark, blank and broken ones, numbered from 6000."""
    from PIL import Image

    made: dict[str, bytes] = {}

    def add(defect: str, folder: str, suffix: str, data: bytes, **more: str) -> None:
        name = f"{folder}/{6000 + len(made):05d}{suffix}"
        made[name] = data
        planted.append(_note(defect, name, **more))

    names = rng.choice(sorted(files), COPIES + RESAVED + DARK + 2 * CUT, replace=False).tolist()
    for name in names[:COPIES]:
        add("verbatim copy", name[0], ".png", files[name], of=name)
    for name in names[COPIES : COPIES + RESAVED]:
        digit = np.asarray(Image.open(io.BytesIO(files[name])))
        light = (digit * rng.uniform(0.85, 1.0)).astype(np.uint8)
        data = _jpeg(light, quality=int(rng.integers(60, 95)))
        add("copy saved again as JPEG, up to 15 % darker", name[0], ".jpg", data, of=name)
    for name in names[COPIES + RESAVED :][:DARK]:
        digit = np.asarray(Image.open(io.BytesIO(files[name])))
        add("nearly black", name[0], ".png", _png((digit * 0.05).astype(np.uint8)), of=name)
    for _ in range(BLANK):
        grey = np.full((28, 28), int(rng.integers(60, 200)), dtype=np.uint8)
        add("one grey", str(rng.integers(10)), ".png", _png(grey))
    for k, name in enumerate(names[COPIES + RESAVED + DARK :]):
        whole = files[name] if k < CUT else _jpeg(np.asarray(Image.open(io.BytesIO(files[name]))))
        suffix = ".png" if k < CUT else ".jpg"
        add("file cut short", name[0], suffix, whole[: int(len(whole) * 0.6)], of=name)
    add("file of zero bytes", str(rng.integers(10)), ".png", b"")
    return made


def _png(grey: Digit) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=6)
    return out.getvalue()


def _jpeg(grey: Digit, quality: int = 90) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(grey).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _note(defect: str, name: str, **more: str) -> Record:
    return {"corpus": "digits", "defect": defect, "id": name, **more}
