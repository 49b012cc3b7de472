"""The one pool of examples that every arm draws from, cleared of what also stands in test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.arrays import BoolArray, IntArray
from training.errors import UserError
from training.pool.content_keys import content_keys, text_keys
from training.pool.features import Features, image_features, text_features
from training.pool.leaks import count_leaks, find_leaks, trust_ids
from training.pool.origins import RowOrigins
from training.pool.shards import ShardRows, is_held, read_splits
from training.pool.tracing import trace
from training.recipes import ModelRecipe, Task

HELD_BACK = 0.05
"""Share of raw that no arm trains on: the estimate shown while runs go on is made on it."""
MOST_HELD_BACK = 1_000
MOST_EDITED = 0.01
"""Share of curated contents that raw lacks, from which on untraced copies are to be feared."""
LEAST_TO_HOLD_BACK = 200
"""Distinct raw contents below which nothing is held back, and no estimate is shown."""


@dataclass(frozen=True)
class PoolRows:
    """Rows of one arm or of a test set: indices into the pool and into the labels."""

    x: IntArray
    y: IntArray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, where: npt.NDArray[np.generic]) -> PoolRows:
        """Select rows by index or by mask."""
        return PoolRows(self.x[where], self.y[where])


@dataclass(frozen=True)
class Pool:
    """Features of each distinct content, and the rows of all datasets on them."""

    features: Features
    distinct: pa.Array
    """Each distinct content once, as text or as encoded images."""
    labels: tuple[str, ...]
    rows: dict[str, PoolRows]
    """Of every dataset, by the names of `Places.folders`, and "oracle"."""
    copies: IntArray | None
    """Curated rows made from each raw row; None where they can't be traced."""
    untraced: str
    """Why, if so."""
    hashes: dict[str, str]
    skipped: dict[str, dict[str, int]]
    leaked: dict[str, int]
    """Rows removed because they stand in a test set."""
    leaks_left: int
    """Train rows that still stand in a test set, counted again after removal."""
    held_back: int
    untraced_edits: str | None
    """That curated may hold changed copies of test rows that raw has lost, if so."""
    test_in_raw: float
    """Share of the test rows that stood in raw."""
    remarks: tuple[str, ...]
    sizes: IntArray | None = field(repr=False)
    """Bytes of each distinct text; None for images."""

    @property
    def tests(self) -> list[str]:
        """Return the names of the test sets, the main one first."""
        return [role for role in self.rows if role.startswith("test")]

    def class_shares(self, rows: PoolRows) -> npt.NDArray[np.float64]:
        """Return the share of each label among `rows`."""
        return np.bincount(rows.y, minlength=len(self.labels)) / len(rows)


def load_pool(places: RowOrigins, task: Task, recipe: ModelRecipe) -> Pool:
    """Read every dataset into one pool and remove from train what stands in a test set.

    Removal goes by content and, where rows carry ids, by id: a curated row made from a leaking
    raw row (same `_id`, else `id`, or that id as `_parent`) leaves with it. Test sets are
    untouched. Unless a validation set is given, a twentieth of raw (by hash of its content) is
    held back from every arm in the same way.
    """
    labelled = task != "language_modelling"
    wants_text = task != "image_classification"
    splits, untraceable = trust_ids(read_splits(places, needs_label=labelled))
    distinct, x = _distinct(splits, wants_text=wants_text, column=places.content)
    features = features_of(distinct, task, recipe)
    named = [pc.unique(split.labels).to_pylist() for split in splits.values()]
    labels = sorted({name for names in named for name in names})
    skipped = {role: dict(split.skipped) for role, split in splits.items()}
    exact = content_keys(distinct)
    y, hashes = {}, {}
    for role, split in splits.items():
        found = pc.index_in(split.labels, pa.array(labels, pa.large_string())).to_numpy()
        y[role] = found.astype(np.int64)
        hashes[role] = _content_hash(split, exact[x[role]])
        unreadable = int((~features.readable[x[role]]).sum())
        if unreadable:
            skipped[role]["unreadable image"] = unreadable
    tests = [role for role in splits if role.startswith("test")]
    leaks = find_leaks(splits, x, features, tests)
    kept = {role: features.readable[x[role]] & ~leaks[role] for role in splits}
    leaks_left = count_leaks(splits, x, features, kept, tests)
    held = _hold_back(splits, x, y, features, kept)
    rows = {role: PoolRows(x[role], y[role]).take(kept[role]) for role in splits}
    for role, found in rows.items():
        if len(found) < 2:
            raise UserError(
                f"{role}: {len(found)} usable rows of {len(x[role])} in "
                f"{places.folders.get(role, places.folders['raw'])} "
                f"({_why(skipped.get(role, {}), leaks.get(role))}); at least 2 are needed"
            )
    remarks = _label_remarks(rows, labels) if labelled else ()
    known = np.unique(features.keys[x["raw"]])
    edited = float((~np.isin(features.keys[x["curated"]], known)).mean())
    untraced_edits = None
    if untraceable and leaks["raw"].any() and edited > MOST_EDITED:
        untraced_edits = (
            f"Curated may hold changed copies of the {int(leaks['raw'].sum()):,} test rows that "
            f"were taken out of raw: {100 * edited:.0f} % of its contents are not in raw, and "
            f"{untraceable}."
        )
    if untraceable and leaks["raw"].any():
        remarks += (
            f"changed copies of rows that stand in test were not looked for: {untraceable}",
        )
    copies, untraced = trace(splits["raw"], splits["curated"], x, features, kept)
    return Pool(
        features=features,
        distinct=distinct,
        labels=tuple(labels),
        rows=rows,
        copies=copies,
        untraced=untraced,
        hashes=hashes,
        skipped=skipped,
        leaked={role: int(found.sum()) for role, found in leaks.items() if role not in tests},
        leaks_left=leaks_left,
        held_back=held,
        untraced_edits=untraced_edits,
        test_in_raw=float(np.isin(features.keys[x["test"]], known).mean()),
        remarks=remarks,
        sizes=_bytes(distinct) if wants_text else None,
    )


def features_of(distinct: pa.Array, task: Task, recipe: ModelRecipe) -> Features:
    """Return what the models of `task` read, for each distinct content."""
    if task == "text_classification":
        return text_features(distinct, recipe)
    if task == "image_classification":
        return image_features(distinct, recipe)
    return Features({}, text_keys(distinct), np.ones(len(distinct), dtype=np.bool_))


def _hold_back(
    splits: dict[str, ShardRows],
    x: dict[str, IntArray],
    y: dict[str, IntArray],
    features: Features,
    kept: dict[str, BoolArray],
) -> int:
    """Add the validation rows where none were given; take them out of every train set."""
    if "validation" not in splits:
        raw = np.flatnonzero(kept["raw"])
        if len(np.unique(x["raw"][raw])) < LEAST_TO_HOLD_BACK:
            return 0
        wanted = min(HELD_BACK, MOST_HELD_BACK / max(len(raw), 1))
        chosen = raw[_lot(features.keys[x["raw"][raw]]) < wanted]
        if not 2 <= len(chosen) <= len(raw) // 2:
            return 0
        splits["validation"] = splits["raw"].take(chosen)
        x["validation"], y["validation"] = x["raw"][chosen], y["raw"][chosen]
        kept["validation"] = np.ones(len(chosen), dtype=np.bool_)
    standing = find_leaks(splits, x, features, ["validation"])
    before = int(kept["raw"].sum())
    for role in splits:
        if not is_held(role):
            kept[role] &= ~standing[role]
    return before - int(kept["raw"].sum())


def _lot(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Map each key to a number in [0, 1) that has nothing to do with the order of keys."""
    return ((keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _bytes(distinct: pa.Array) -> IntArray:
    return np.asarray(pc.binary_length(distinct).to_numpy(zero_copy_only=False), dtype=np.int64)


def _distinct(
    splits: dict[str, ShardRows], *, wants_text: bool, column: str
) -> tuple[pa.Array, dict[str, IntArray]]:
    """Return each distinct content once, and each split's rows as indices into them."""
    wanted = pa.large_string() if wants_text else pa.large_binary()
    for role, split in splits.items():
        if split.content.type != wanted:
            given, other = ("images", "image") if wants_text else ("text", "text")
            raise UserError(
                f"{role}: column {column!r} holds {given}; use task='{other}_classification' or "
                "name another column"
            )
    every = pa.concat_arrays([split.content for split in splits.values()]).dictionary_encode()
    codes = every.indices.to_numpy().astype(np.int64)
    ends = np.cumsum([len(split) for split in splits.values()])
    return every.dictionary, dict(zip(splits, np.split(codes, ends[:-1]), strict=True))


def _content_hash(split: ShardRows, exact: npt.NDArray[np.uint64]) -> str:
    """Hash the rows' exact contents, label names, ids and parents, in order."""
    digest = hashlib.sha256(exact.tobytes())
    for column in (split.labels, split.ids, split.parents):
        digest.update(content_keys(pc.fill_null(column, "")).tobytes())
    return digest.hexdigest()


def _why(skipped: dict[str, int], leaks: BoolArray | None) -> str:
    reasons = [f"{count} with {reason}" for reason, count in skipped.items()]
    standing = 0 if leaks is None else int(leaks.sum())
    return ", ".join([*reasons, f"{standing} that stand in test"])


def _label_remarks(rows: dict[str, PoolRows], labels: list[str]) -> tuple[str, ...]:
    seen = {role: {labels[code] for code in np.unique(found.y)} for role, found in rows.items()}
    for role in ("raw", "curated"):
        if not seen[role] & seen["test"]:
            raise UserError(
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
