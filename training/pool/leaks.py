"""Find train rows that stand in a test set: by content, and by the ids that lead back to one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.arrays import BoolArray
from training.pool.features import Features
from training.pool.shards import ID, ShardRows

Codes = dict[str, npt.NDArray[np.int64]]
Splits = dict[str, ShardRows]
COMPARED = 200
"""Rows of the same id that are looked at to tell whether ids mean something."""


def find_leaks(
    splits: Splits, x: Codes, features: Features, held: Sequence[str]
) -> dict[str, BoolArray]:
    """Mark rows whose content stands in a `held` set, every row of the same id, or made from one.

    A row that leaks in one train set leaks in the others, however it was changed, and takes the
    rows along that name it as `_parent`. Ids that two datasets share by accident cost a row each.
    Rows of `held` and of every other test set are never marked.
    """
    train = _train(splits, held)
    leaks = _by_key(splits, x, features, held)
    while True:
        names = _names(splits, leaks, train)
        found = {role: leaks[role] | _named(splits[role], names) for role in train}
        if all((found[role] == leaks[role]).all() for role in train):
            return leaks
        leaks |= found


def count_leaks(
    splits: Splits,
    x: Codes,
    features: Features,
    kept: dict[str, BoolArray],
    held: Sequence[str],
) -> int:
    """Count kept train rows that stand in `held`, key or bytes, or lead back to one taken out."""
    train = _train(splits, held)
    readable = {role: features.readable[x[role]] for role in train}
    names = _names(splits, {role: readable[role] & ~kept[role] for role in train}, train)
    leaks = _by_key(splits, x, features, held)
    total = 0
    for role in train:
        leaks[role] |= _named(splits[role], names)
        for test in held:
            leaks[role] |= _flags(pc.is_in(splits[role].content, value_set=splits[test].content))
        total += int((leaks[role] & kept[role]).sum())
    return total


def _train(splits: Splits, held: Sequence[str]) -> list[str]:
    return [role for role in splits if role not in held and not role.startswith("test")]


def trust_ids(splits: dict[str, ShardRows]) -> tuple[dict[str, ShardRows], str | None]:
    """Return splits whose ids tell raw rows apart, and why changed copies can't be traced, if so.

    `_id` is what the curator was told to go by; a column that is merely called `id` is a row id
    only where it never repeats.
    """
    raw, curated = splits["raw"], splits["curated"]
    known = pc.drop_null(raw.ids)
    missing = [split.role for split in (raw, curated) if split.ids.null_count == len(split)]
    if missing:
        return splits, f"{' and '.join(missing)} without row ids"
    if raw.id_column != ID and pc.count_distinct(known).as_py() < len(known):
        return _without_ids(splits, raw.id_column), f"raw repeats its {raw.id_column!r}"
    shared = pc.or_(*(pc.is_in(ids, value_set=known) for ids in (curated.ids, curated.parents)))
    if not pc.any(shared).as_py():
        return splits, "raw and curated share no row id"
    if not _same_rows(raw, curated):
        reason = "the same row ids stand for other rows in raw than in curated"
        return _without_ids(splits, None), reason
    return splits, None


def _without_ids(splits: Splits, column: str | None) -> Splits:
    """Forget the ids of every dataset, or of those that have them in `column`."""
    return {
        role: replace(
            split,
            ids=pa.nulls(len(split), pa.string()),
            parents=pa.nulls(len(split), pa.string()),
        )
        if column in (None, split.id_column)
        else split
        for role, split in splits.items()
    }


def _same_rows(raw: ShardRows, curated: ShardRows) -> bool:
    """Tell whether rows that share an id are, by a sample of them, the same rows, edited or not.

    Numbers that two tools gave their rows coincide without meaning. A text is the same if half of
    its words are; of images, one in twenty must have the same bytes.
    """
    where = pc.index_in(curated.ids, value_set=raw.ids)
    ours = np.flatnonzero(_flags(pc.is_valid(where)))[:: max(1, len(curated) // COMPARED)]
    if not len(ours):
        return True
    theirs = where.take(pa.array(ours))
    pairs = zip(
        curated.content.take(pa.array(ours)).to_pylist(),
        raw.content.take(theirs).to_pylist(),
        strict=True,
    )
    if pa.types.is_large_binary(raw.content.type):
        return float(np.mean([one == other for one, other in pairs])) >= 0.05
    return float(np.mean([_overlap(one, other) >= 0.5 for one, other in pairs])) >= 0.5


def _overlap(one: str, other: str) -> float:
    """Return the share of the words of the shorter text that stand in the other."""
    words, others = set(one.casefold().split()), set(other.casefold().split())
    return len(words & others) / max(min(len(words), len(others)), 1)


def _by_key(
    splits: Splits, x: Codes, features: Features, held: Sequence[str]
) -> dict[str, BoolArray]:
    codes = np.concatenate([x[role] for role in held])
    standing = np.isin(features.keys, features.keys[codes[features.readable[codes]]])
    standing &= features.readable
    train = _train(splits, held)
    return {role: standing[x[role]] & (role in train) for role in splits}


def _names(splits: Splits, marked: dict[str, BoolArray], train: Sequence[str]) -> pa.Array:
    found = [splits[role].ids.filter(pa.array(marked[role])) for role in train]
    return pc.drop_null(pa.concat_arrays(found))


def _named(split: ShardRows, names: pa.Array) -> BoolArray:
    """Mark the rows whose id or parent is among `names`."""
    ids, parents = (pc.is_in(column, value_set=names) for column in (split.ids, split.parents))
    return _flags(ids) | _flags(parents)


def _flags(column: pa.Array) -> BoolArray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.bool_)
