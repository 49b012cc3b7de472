"""Time how fast training examples become batches: our cache against a plain torch DataLoader.

    python benchmarks/input_path.py [--rows 20000] [--batch 128] [--runs 5] [--workers 0,2]
        [--out benchmarks/results/input_path.json]

Ours: contents are decoded or tokenised once, for all runs, into arrays that are memory-mapped, and
a batch is gathered and augmented as a whole. The DataLoader holds the encoded contents in memory
and decodes, augments or tokenises each example whenever it is drawn; that is what a first training
script does, in Python with Pillow, and no compiled tokenizer. Both give the same tensors, which is
checked before timing. A time is one pass in random order, with no model; files are in the page
cache, DataLoader workers are up (one pass before counting), the process and each worker compute on
one thread, and the paths take turns. Getting the cache ready is timed on its own, with the number
of passes after which it has paid. Images are scikit-learn's digits, enlarged to 32 pixels, in
random colours, as PNG; texts are generated, about 1 kB each.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import xxhash
from compare import commit, machine
from corpora import Words
from PIL import Image
from sklearn.datasets import load_digits
from tools import packages
from torch.utils.data import DataLoader, Dataset

from training.nets.inputs import Labelled, inputs
from training.pool.features import BIAS, MOST_WORDS, image_features, text_features
from training.recipes import RECIPES, ModelRecipe

ROOT = Path(__file__).parent.parent
SIDE, SHIFT = 32, 2


def encoded_images(rows: int) -> list[bytes]:
    """Return digits in random colours as PNG files."""
    rng = np.random.default_rng(0)
    ink = load_digits().images[np.arange(rows) % 1_797, :, :, None] / 16
    paper, pen = rng.integers(0, 256, (2, rows, 1, 1, 3))
    pictures = (paper + (pen - paper) * ink).astype(np.uint8)
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
        files.append(file.getvalue())
    return files


def texts(rows: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = Words(rng)
    return [words.sentence(words.draw(int(n))) for n in rng.integers(80, 260, rows)]


class Images(Dataset):
    """Decodes and augments one picture at a time."""

    def __init__(self, files: list[bytes], recipe: ModelRecipe, *, augment: bool) -> None:
        self.files, self.augment, self.recipe = files, augment, recipe

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        with Image.open(io.BytesIO(self.files[row])) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        if self.augment:
            shift = self.recipe.shift
            down, right = torch.randint(0, 2 * shift + 1, (2,)).tolist()
            pixels = np.pad(pixels, [(0, 0), (shift, shift), (shift, shift)], mode="reflect")
            pixels = pixels[:, down : down + SIDE, right : right + SIDE]
            if self.recipe.flip and torch.rand(()) < 0.5:
                pixels = pixels[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 127.5 - 1, row


class Texts(Dataset):
    """Splits and hashes one text at a time: the words and pairs of words as buckets."""

    def __init__(self, texts: list[str], recipe: ModelRecipe) -> None:
        self.texts, self.buckets = texts, recipe.width

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        words = re.findall(r"[^\W_]+", self.texts[row].lower())[:MOST_WORDS]
        code = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in words], np.uint64)
        pair = code[:-1] * np.uint64(0x9E3779B97F4A7C15) + code[1:]
        pair = (pair ^ (pair >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        pair ^= pair >> np.uint64(27)
        grams = np.concatenate([code, pair]) % np.uint64(self.buckets - 1) + np.uint64(1)
        return torch.from_numpy(np.append(BIAS, grams).astype(np.int32)), row


def bags(found: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, ...]:
    """Join texts into the arguments of an embedding bag, then their labels."""
    grams, labels = zip(*found, strict=True)
    lengths = torch.tensor([len(bag) for bag in grams])
    starts = lengths.cumsum(0) - lengths
    weights = (1 / lengths.double().sqrt()).float().repeat_interleave(lengths)
    return torch.cat(grams), starts.int(), weights, torch.tensor(labels)


@dataclass(frozen=True)
class Kind:
    """One sort of content and the two ways to read it."""

    contents: list[Any]
    recipe: ModelRecipe
    features: Callable[..., Any]
    dataset: Callable[..., Dataset]
    collate: Callable[..., Any] | None = None

    def cache(self, folder: Path) -> tuple[Labelled, float]:
        """Return our examples and the seconds that it took to get them ready."""
        start = time.perf_counter()
        self.features(pa.array(self.contents), self.recipe).save(folder)
        found = inputs(folder, self.recipe)
        rows = np.arange(len(self.contents))
        return Labelled(found, rows, rows), time.perf_counter() - start

    def loader(self, dataset: Dataset, workers: int, batch: int, *, shuffle: bool) -> DataLoader:
        """Return a DataLoader whose workers stay up from pass to pass."""
        return DataLoader(
            dataset, batch, shuffle=shuffle, num_workers=workers, collate_fn=self.collate,
            persistent_workers=workers > 0,
        )  # fmt: skip


def kinds(rows: int) -> dict[str, Kind]:
    image = RECIPES["cnn"].model_copy(update={"shift": SHIFT, "flip": True, "side": SIDE})
    return {
        "images": Kind(encoded_images(rows), image, image_features, Images),
        "texts": Kind(texts(rows), RECIPES["linear"], text_features, Texts, bags),
    }


def passes(examples: Labelled, batch: int) -> Iterable[Any]:
    """Yield the batches of one pass over our cache."""
    rng = np.random.default_rng()
    order = rng.permutation(len(examples))
    for start in range(0, len(order), batch):
        yield examples.batch(order[start : start + batch], rng)


def same(ours: Labelled, theirs: DataLoader, batch: int) -> None:
    """Raise RuntimeError unless both give the same first batch, without augmentation."""
    mine, labels = ours.batch(np.arange(batch), None)
    for found, wanted in zip((*mine, labels), next(iter(theirs)), strict=True):
        if not torch.equal(found, wanted):
            raise RuntimeError(f"the paths differ: {found} is not {wanted}")


def measure(kind: Kind, batch: int, runs: int, workers: list[int]) -> dict[str, Any]:
    """Return samples a second of each path, all runs of it, and what the cache took."""
    rows = len(kind.contents)
    arguments = {"augment": True} if kind.dataset is Images else {}
    plain = kind.dataset(kind.contents, kind.recipe, **dict.fromkeys(arguments, False))
    dataset = kind.dataset(kind.contents, kind.recipe, **arguments)
    with tempfile.TemporaryDirectory() as folder:
        examples, ready = kind.cache(Path(folder))
        same(examples, kind.loader(plain, 0, batch, shuffle=False), batch)
        paths: dict[str, Callable[[], Iterable[Any]]] = {"cache": lambda: passes(examples, batch)}
        for count in workers:
            loader = kind.loader(dataset, count, batch, shuffle=True)
            paths[f"DataLoader, {count} workers"] = lambda loader=loader: loader
        seconds: dict[str, list[float]] = {name: [] for name in paths}
        for run in range(runs + 1):
            for name, path in paths.items():
                start = time.perf_counter()
                for _ in path():
                    pass
                if run:  # the first starts workers and fills the page cache
                    seconds[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    found = {}
    for name, times in seconds.items():
        saved = middle[name] - middle["cache"]
        found[name] = {
            "samples_per_second": round(rows / middle[name]),
            "least": round(rows / max(times)),
            "most": round(rows / min(times)),
            "runs": [round(rows / took) for took in times],
            "times_slower": round(middle[name] / middle["cache"], 2),
            "cache_pays_after_passes": round(ready / saved, 2) if saved > 0 else None,
        }
    return {"rows": rows, "cache_ready_seconds": round(ready, 3), "paths": found}


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| contents | path | samples/s, median | least to most | times slower | cache pays after |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for kind, result in results.items():
        for name, found in result["paths"].items():
            pays = found["cache_pays_after_passes"]
            lines.append(
                f"| {kind} | {name} | {found['samples_per_second']:,} | "
                f"{found['least']:,} to {found['most']:,} | {found['times_slower']:.2f} | "
                f"{'–' if pays is None else f'{pays:.1f} passes'} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", default="0,2")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/input_path.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    workers = [int(count) for count in given.workers.split(",")]
    results = {
        name: measure(kind, given.batch, given.runs, workers)
        for name, kind in kinds(given.rows).items()
    }
    installed = packages(sys.executable)
    names = ("python", "torch", "numpy", "pillow", "pyarrow", "scikit-learn", "xxhash")
    result = {
        "benchmark": "input_path",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": {name: installed.get(name) for name in names},
        "batch": given.batch,
        "runs": given.runs,
        "results": results,
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
