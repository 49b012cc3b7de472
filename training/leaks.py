"""Find the train rows that stand in test: by content, and by the ids that lead back to one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.features import Features
from training.shards import ID, Split

BoolArray = npt.NDArray[np.bool_]
Codes = dict[str, npt.NDArray[np.int64]]
TRAIN = ("raw", "curated")


def find_leaks(splits: dict[str, Split], x: Codes, features: Features) -> dict[str, BoolArray]:
    """Mark the rows whose content stands in test, and every row of the same id or made from one.

    A row that leaks in one train set leaks in the other, however it was changed, and takes the
    rows along that name it as `_parent`. Ids that two datasets share by accident cost a row each.
    """
    leaks = _by_key(x, features)
    while True:
        names = _names(splits, leaks)
        found = {role: leaks[role] | _named(splits[role], names) for role in TRAIN}
        if all((found[role] == leaks[role]).all() for role in TRAIN):
            return {**leaks, "test": np.zeros(len(x["test"]), dtype=np.bool_)}
        leaks = found


def count_leaks(
    splits: dict[str, Split], x: Codes, features: Features, kept: dict[str, BoolArray]
) -> int:
    """Count kept train rows that stand in test, key or bytes, or lead back to a row taken out."""
    readable = {role: features.readable[x[role]] for role in TRAIN}
    names = _names(splits, {role: readable[role] & ~kept[role] for role in TRAIN})
    leaks = _by_key(x, features)
    for role in TRAIN:
        leaks[role] |= _flags(pc.is_in(splits[role].content, value_set=splits["test"].content))
        leaks[role] |= _named(splits[role], names)
    return sum(int((leaks[role] & kept[role]).sum()) for role in TRAIN)


def trust_ids(splits: dict[str, Split]) -> tuple[dict[str, Split], str | None]:
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
        nothing = pa.nulls(len(raw), pa.string())
        return {**splits, "raw": replace(raw, ids=nothing)}, f"raw repeats its {raw.id_column!r}"
    shared = pc.or_(*(pc.is_in(ids, value_set=known) for ids in (curated.ids, curated.parents)))
    return splits, None if pc.any(shared).as_py() else "raw and curated share no row id"


def _by_key(x: Codes, features: Features) -> dict[str, BoolArray]:
    test = x["test"][features.readable[x["test"]]]
    in_test = np.isin(features.keys, features.keys[test]) & features.readable
    return {role: in_test[x[role]] for role in TRAIN}


def _names(splits: dict[str, Split], marked: dict[str, BoolArray]) -> pa.Array:
    found = [splits[role].ids.filter(pa.array(marked[role])) for role in TRAIN]
    return pc.drop_null(pa.concat_arrays(found))


def _named(split: Split, names: pa.Array) -> BoolArray:
    """Mark the rows whose id or parent is among `names`."""
    ids, parents = (pc.is_in(column, value_set=names) for column in (split.ids, split.parents))
    return _flags(ids) | _flags(parents)


def _flags(column: pa.Array) -> BoolArray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.bool_)
