"""The datasets of a proof: found in any format, their splits told apart, written as folders."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from curate.manifest import read_manifest
from curate.recipe.recipe import Recipe, Write
from curate.run.run import run_recipe
from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.readers import READERS, Read, guess_format
from pipelines.readers.places import SPLITS
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.rows import ID, KEY
from pipelines.stores import storage_in_use
from training.pool.shards import read_table

Tell = Callable[[str], None]
Names = Mapping[str, str | None]
"""Columns by role: text, image, label."""

BUDGET = 0.5
"""Share of rows that may be quarantined where no recipe says so."""
PEEKED = 100
"""Records read to see the columns of a dataset."""


@dataclass(frozen=True)
class Given:
    """A dataset as the user gave it, before it is read."""

    role: str
    path: str
    format: str | None
    """None for a folder as `save_to_disk` writes it, which is read where it lies."""
    splits: Mapping[str, tuple[str, ...]]
    """Paths of each split; nothing but `train` where no name tells splits apart."""

    @property
    def has_test(self) -> bool:
        """Tell whether it brings a test split of its own."""
        return "test" in self.splits

    def columns(self, names: Names) -> list[str]:
        """Return the columns of the training split, from its first records."""
        if self.format is None:
            return list(read_table(self.role, Path(self.path)).column_names)
        read = reading(self.splits["train"], self.format, names)
        plan = make_plan(read, limit=PEEKED)
        chunks = read_task(read, plan.tasks[0])
        found = dict.fromkeys(name for chunk in chunks for name in chunk.table.column_names)
        return [name for name in found if name not in (KEY, ID)]

    def bring(self, split: str, place: Path, names: Names, tell: Tell) -> Path:
        """Return a dataset folder that holds a split: itself, or `place` once that is written."""
        if self.format is None:
            return Path(self.path)
        read = reading(self.splits[split], self.format, names)
        return bring(read, place, BUDGET, tell)


def check_provable(recipe: Recipe) -> None:
    """Refuse a proof of an output that training cannot read.

    Raises:
        UserError: the output is on a store.
    """
    if files.is_remote(recipe.write.path):
        raise UserError(
            f"a proof needs the output on a disk, and this is {recipe.write.path}: "
            "run the recipe with --out FOLDER, then prove it with --set write.path=FOLDER"
        )


def given(role: str, path: str | Path) -> Given:
    """Look at a file, folder, pattern or URL: which format, which splits.

    Raises:
        UserError: nothing is there, or no file name tells the format.
    """
    path = str(path)
    folder = Path(path)
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        there = [s for s in ("train", "test", "validation") if any((folder / s).glob("*.arrow"))]
        return Given(role, path, None, dict.fromkeys(there or ["train"], (path,)))
    try:
        kind = guess_format(path)
    except listings.NoInput as error:
        raise UserError(f"{role}: {error}") from None
    listed = listings.list_files(path, READERS[kind].suffixes)
    return Given(role, path, kind, split_paths(path, kind, [file.name for file in listed]))


def split_paths(path: str, kind: str, names: list[str]) -> dict[str, tuple[str, ...]]:
    """Tell the splits of a folder apart by the names in it, relative to it.

    A folder of images has splits only where all its first folders are called so: the others are
    labels. Elsewhere a word in the name of a file or its folder says it (`test.jsonl`,
    `data/train-00000-of-00002.parquet`); what no word claims is for training.
    """
    found: dict[str, list[str]] = {}
    for name in names if files.is_folder(path) else ():
        words = [name.split("/")[0]] if kind == "images" else re.split(r"[^a-z]+", name.lower())
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        if kind == "images" and split is None:
            return {"train": (path,)}
        place = files.join(path, words[0] if kind == "images" else name)
        found.setdefault(split or "train", []).append(place)
    if "train" not in found or len(found) == 1:
        return {"train": (path,)}
    return {split: tuple(dict.fromkeys(places)) for split, places in found.items()}


def reading(path: str | tuple[str, ...], given: str | None, names: Names) -> Any:
    """Return the `read` section for a path, its format guessed from the file names."""
    paths = (path,) if isinstance(path, str) else path
    found = given or guess_format(paths[0])
    values: dict[str, Any] = {"format": found, "path": paths[0] if len(paths) == 1 else paths}
    values["splits"] = "ignore"  # the roles of the data are known here
    fixed = {"images": ("text",), "text": ("text", "image")}.get(found, ())
    values |= {role: name for role, name in names.items() if name and role not in fixed}
    return TypeAdapter(Read).validate_python(values)


def bring(read: Any, place: Path, budget: float, tell: Tell, limit: int | None = None) -> Path:
    """Write what `read` reads, unchanged, as a dataset folder; returns the folder."""
    plain = Recipe(
        name=place.name,
        read=read,
        max_quarantined=budget,
        write=Write(path=str(place), overwrite=True),
        storage=storage_in_use(),
    )
    tell(f"reading the {place.name} data")
    run_recipe(plain, limit=limit, workers=1)
    return place


def rows_of(folder: Path) -> int:
    """Return how many records were read for a dataset that `bring` wrote."""
    return read_manifest(str(folder)).rows.entered
