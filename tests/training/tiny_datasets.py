"""Small generated datasets in the layout of `save_to_disk`, written with pyarrow alone."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from training import prove
from training.design.design import SKIPPABLE

CLASSES = ["art", "bees", "cars", "dogs"]


def write_split(folder: Path, columns: dict, *, names=None, label="label", shards=1) -> None:
    """Write a flat dataset directory; `names` makes the label a ClassLabel."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names is not None:
        features = {label: {"names": names, "_type": "ClassLabel"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    files = []
    for shard in range(shards):
        name = f"data-{shard:05d}-of-{shards:05d}.arrow"
        start, end = (edge * len(table) // shards for edge in (shard, shard + 1))
        part = table.slice(start, end - start)
        with pa.ipc.new_stream(folder / name, part.schema) as stream:
            stream.write_table(part)
        files.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))


def sentences(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sentences of ten words, half of them common, half from the words of their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    common = rng.integers(0, 300, (count, 5))
    own = rng.integers(0, 120, (count, 5))
    texts = [
        " ".join(
            [f"w{word}" for word in common[row]] + [f"{CLASSES[y]}{word}" for word in own[row]]
        )
        for row, y in enumerate(labels)
    ]
    return texts, labels


def flipped(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Replace a share of the labels by another class."""
    rng = np.random.default_rng(seed)
    hit = rng.random(len(labels)) < share
    return np.where(
        hit, (labels + rng.integers(1, len(CLASSES), len(labels))) % len(CLASSES), labels
    )


def picture(label: int, rng: np.random.Generator) -> bytes:
    """A grey 12×12 PNG with a bright bar whose direction and side tell the class."""
    pixels = rng.integers(0, 180, (12, 12))
    where = 2 if label % 2 else 8
    if label < 2:
        pixels[where : where + 2] += 60
    else:
        pixels[:, where : where + 2] += 60
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "png")
    return file.getvalue()


def run_texts(home: Path, curated: str, out: Path, **changes):
    arguments = {
        "raw": home / "raw",
        "curated": home / curated,
        "test": home / "test",
        "task": "text_classification",
        "out": out,
        "seeds": 3,
        "steps": 120,
        "sizes": 0,
        "rates": (),
        "skip": SKIPPABLE,
        "smallest_effect": 0.02,
        "notes": ["45 % of labels are wrong on purpose: synthetic"],
    }
    return prove(**{**arguments, **changes})
