"""The one pool of examples that every arm draws from, cleared of what also stands in test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.features import Features, image_features, text_features
from training.leaks import BoolArray, count_leaks, find_leaks, trust_ids
from training.shards import Split, read_splits

IntArray = npt.NDArray[np.int64]
Task = Literal["text_classification", "image_classification"]


@dataclass(frozen=True)
class Rows:
    """Rows of one arm or of the test set: indices into the pool and into the labels."""

    x: IntArray
    y: IntArray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, where: npt.NDArray[np.generic]) -> Rows:
        """Select rows by index or by mask."""
        return Rows(self.x[where], self.y[where])

    def save(self, path: Path) -> None:
        """Write both columns to one .npz file."""
        np.savez(path, x=self.x, y=self.y)

    @staticmethod
    def load(path: Path) -> Rows:
        """Read what `save` wrote."""
        with np.load(path) as found:
            return Rows(found["x"], found["y"])


@dataclass(frozen=True)
class Pool:
    """Features of each distinct content, and the rows of the three datasets on them."""

    features: Features
    labels: tuple[str, ...]
    raw: Rows
    curated: Rows
    test: Rows
    hashes: dict[str, str]
    skipped: dict[str, dict[str, int]]
    leaked: dict[str, int]
    leaks_left: int
    """Train rows that still stand in test, counted again after removal."""
    remarks: tuple[str, ...]

    def class_shares(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the share of each label among `rows`."""
        return np.bincount(rows.y, minlength=len(self.labels)) / len(rows)


def load_pool(
    places: dict[str, Path], *, task: Task, content: str, label: str, buckets: int
) -> Pool:
    """Read raw, curated and test into one pool and remove from train what stands in test.

    Removal goes by content and, where rows carry ids, by id: a curated row made from a leaking
    raw row (same `_id`, else `id`, or that id as `_parent`) leaves with it. The test set is
    untouched.
    """
    splits, untraced = trust_ids(read_splits(places, content, label))
    distinct, x = _distinct(splits, wants_text=task == "text_classification", column=content)
    is_text = task == "text_classification"
    features = text_features(distinct, buckets) if is_text else image_features(distinct)
    labels = sorted(
        {name for split in splits.values() for name in pc.unique(split.labels).to_pylist()}
    )
    rows, skipped = {}, {}
    for role, split in splits.items():
        readable = features.readable[x[role]]
        y = pc.index_in(split.labels, pa.array(labels, pa.large_string())).to_numpy()
        rows[role] = Rows(x[role], y.astype(np.int64))
        skipped[role] = dict(split.skipped)
        if not readable.all():
            skipped[role]["unreadable image"] = int((~readable).sum())
    hashes = {role: _content_hash(features, found, labels) for role, found in rows.items()}
    leaks = find_leaks(splits, x, features)
    kept = {role: features.readable[x[role]] & ~leaks[role] for role in splits}
    clean = {role: found.take(kept[role]) for role, found in rows.items()}
    for role, found in clean.items():
        if len(found) < 2:
            raise ValueError(
                f"{role}: {len(found)} usable rows of {len(rows[role])} in {places[role]} "
                f"({_why(skipped[role], leaks[role])}); at least 2 are needed"
            )
    remarks = _label_remarks(clean, labels)
    if untraced and leaks["raw"].any():
        remarks += (f"changed copies of rows that stand in test were not looked for: {untraced}",)
    return Pool(
        features=features,
        labels=tuple(labels),
        raw=clean["raw"],
        curated=clean["curated"],
        test=clean["test"],
        hashes=hashes,
        skipped=skipped,
        leaked={role: int(leaks[role].sum()) for role in ("raw", "curated")},
        leaks_left=count_leaks(splits, x, features, kept),
        remarks=remarks,
    )


def _distinct(
    splits: dict[str, Split], *, wants_text: bool, column: str
) -> tuple[pa.Array, dict[str, IntArray]]:
    """Return each distinct content once, and each split's rows as indices into them."""
    wanted = pa.large_string() if wants_text else pa.large_binary()
    for role, split in splits.items():
        if split.content.type != wanted:
            given, other = ("images", "image") if wants_text else ("text", "text")
            raise ValueError(
                f"{role}: column {column!r} holds {given}; use task='{other}_classification' or "
                "name another column"
            )
    every = pa.concat_arrays([split.content for split in splits.values()]).dictionary_encode()
    codes = every.indices.to_numpy().astype(np.int64)
    ends = np.cumsum([len(split) for split in splits.values()])
    return every.dictionary, dict(zip(splits, np.split(codes, ends[:-1]), strict=True))


def _content_hash(features: Features, rows: Rows, labels: list[str]) -> str:
    """Hash the rows' normalised contents and label names, in order."""
    digest = hashlib.sha256("\0".join(labels).encode())
    digest.update(features.keys[rows.x].tobytes())
    digest.update(rows.y.astype("<i8").tobytes())
    return digest.hexdigest()


def _why(skipped: dict[str, int], leaks: BoolArray) -> str:
    reasons = [f"{count} with {reason}" for reason, count in skipped.items()]
    return ", ".join([*reasons, f"{int(leaks.sum())} that stand in test"])


def _label_remarks(rows: dict[str, Rows], labels: list[str]) -> tuple[str, ...]:
    seen = {role: {labels[code] for code in np.unique(found.y)} for role, found in rows.items()}
    for role in ("raw", "curated"):
        if not seen[role] & seen["test"]:
            raise ValueError(
                f"test: no label in common with {role} (test has {_some(seen['test'])}; {role} has "
                f"{_some(seen[role])}); write both with the same label names"
            )
    unseen = sorted(seen["test"] - seen["raw"])
    if unseen:
        return (f"test has {len(unseen)} labels that raw never shows: {_some(set(unseen))}",)
    return ()


def _some(names: set[str]) -> str:
    shown = sorted(names)[:5]
    return ", ".join(repr(name) for name in shown) + (", …" if len(names) > 5 else "")
