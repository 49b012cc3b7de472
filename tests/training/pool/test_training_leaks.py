"""Leaks are traced through the ids that curate writes, and counted again after removal."""

import json

import numpy as np
import pyarrow as pa
import pytest
from tiny_datasets import write_split

from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from training.pool.content_keys import text_keys
from training.pool.data import load_pool
from training.pool.features import text_features
from training.pool.leaks import count_leaks, find_leaks
from training.pool.origins import RowOrigins
from training.pool.shards import read_splits, read_table
from training.recipes import RECIPES

TEST = {"text": ["t four", "t five"], "label": ["x", "y"]}
RAW = {
    "text": ["t four", "a", "b", "c"],
    "label": ["x", "x", "y", "y"],
    "_id": ["r0", "r1", "r2", "r3"],
}
CURATED = {
    "text": ["t 4", "t IV", "a", "A a", "b", "t five", "5 t"],
    "label": ["x", "x", "x", "x", "y", "y", "y"],
    "_id": ["r0", "r0~1", "r1", "r1~1", "r2", "r3", "r3~1"],
    "_parent": [None, "r0", None, "r1", None, None, "r3"],
}


def write(home, raw=RAW, curated=CURATED):
    for role, columns in (("raw", raw), ("curated", curated), ("test", TEST)):
        write_split(home / role, columns)
    return {role: home / role for role in ("raw", "curated", "test")}


def pool(folders, **more):
    places = RowOrigins(folders, "text", "label", **more)
    return load_pool(places, "text_classification", RECIPES["linear"])


def renamed(columns, **changes):
    return {changes.get(name, name): values for name, values in columns.items()}


def keys_of(texts):
    return text_keys(pa.array(texts, pa.large_string()))


def test_changed_copies_of_leaking_rows_leave(tmp_path):
    # r0 stands in test as raw has it, r3 as curated has it: both leave both, with their copies.
    found = pool(write(tmp_path))
    assert found.leaked == {"raw": 2, "curated": 4}
    assert set(found.features.keys[found.rows["raw"].x]) == set(keys_of(["a", "b"]))
    assert set(found.features.keys[found.rows["curated"].x]) == set(keys_of(["a", "A a", "b"]))
    assert not found.remarks


def test_the_curators_id_goes_before_a_column_named_id(tmp_path):
    raw = {**RAW, "id": ["r1", "r0", "r3", "r2"]}
    found = pool(write(tmp_path, raw, {**CURATED, "id": CURATED["_id"]}))
    assert found.leaked == {"raw": 2, "curated": 4}


def test_a_plain_id_column_serves_where_there_is_no_other(tmp_path):
    found = pool(write(tmp_path, renamed(RAW, _id="id")))
    assert found.leaked == {"raw": 2, "curated": 4}


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ({"id": ["r0", "r0", "r1", "r2"]}, "raw repeats its 'id'"),
        ({}, "raw without row ids"),
        ({"_id": ["q0", "q1", "q2", "q3"]}, "raw and curated share no row id"),
    ],
)
def test_copies_that_cannot_be_traced_are_remarked(tmp_path, ids, reason):
    raw = {"text": RAW["text"], "label": RAW["label"], **ids}
    found = pool(write(tmp_path, raw))
    assert found.leaked == {"raw": 1, "curated": 2}
    assert found.remarks == (
        f"changed copies of rows that stand in test were not looked for: {reason}",
    )


@pytest.mark.parametrize(
    ("forgotten", "left"),
    [(("raw", 0), 1), (("curated", 0), 1), (("curated", 1), 1), (("curated", 5), 1)],
)
def test_count_sees_a_leak_that_removal_forgot(tmp_path, forgotten, left):
    splits = read_splits(RowOrigins(write(tmp_path), "text", "label"))
    every = pa.concat_arrays([split.content for split in splits.values()]).dictionary_encode()
    ends = np.cumsum([len(split) for split in splits.values()])[:-1]
    x = dict(zip(splits, np.split(every.indices.to_numpy(), ends), strict=True))
    features = text_features(every.dictionary, RECIPES["linear"])
    kept = {role: ~marked for role, marked in find_leaks(splits, x, features, ["test"]).items()}
    assert count_leaks(splits, x, features, kept, ["test"]) == 0
    role, row = forgotten
    kept[role][row] = True
    assert count_leaks(splits, x, features, kept, ["test"]) == left


def test_copies_that_curate_made_of_leaking_rows_leave(tmp_path):
    rng = np.random.default_rng(0)
    lines = [" ".join(f"w{word}" for word in rng.integers(0, 500, 8)) for _ in range(60)]
    rows = [{"uid": f"u{i}", "text": t, "label": "xy"[i % 2]} for i, t in enumerate(lines)]
    held = [{"text": t.upper(), "label": "xy"[i % 2]} for i, t in enumerate(lines[:6])]
    held += [{"text": f"clean {i}", "label": "xy"[i % 2]} for i in range(6)]
    for name, found in (("train", rows), ("test", held)):
        text = "".join(json.dumps(row) + "\n" for row in found)
        (tmp_path / f"{name}.jsonl").write_text(text)

    def run(name, steps=(), source="train", **read):
        path = {"format": "jsonl", "path": str(tmp_path / f"{source}.jsonl"), **read}
        out = {"path": str(tmp_path / name)}
        recipe = {"name": name, "read": path, "steps": steps, "write": out}
        run_recipe(Recipe.model_validate(recipe), workers=1)
        return tmp_path / name

    twice = [{"op": "augment_text", "method": "swap_words", "copies": 2}]
    places = {
        "raw": run("raw", id="uid"),
        "curated": run("curated", twice, id="uid"),
        "test": run("test", source="test"),
    }
    curated = read_table("curated", places["curated"]).to_pylist()
    planted = {f"u{i}" for i in range(6)}
    copies = [row["text"] for row in curated if row["_parent"] in planted]
    assert len(copies) == 12
    assert not set(copies) & set(lines)

    found = pool(places)
    assert found.leaked == {"raw": 6, "curated": 18}
    assert len(found.rows["curated"]) == 3 * 54
    assert not np.isin(keys_of(copies), found.features.keys[found.rows["curated"].x]).any()


def many(prefix, rows):
    """Rows of distinct words, so that rows of another number have nothing in common."""
    return {
        "text": [f"{prefix} " + " ".join(f"w{row}x{n}" for n in range(8)) for row in rows],
        "label": ["xy"[row % 2] for row in rows],
    }


def test_ids_that_stand_for_other_rows_are_not_trusted(tmp_path):
    raw = {**many("", range(100)), "_id": [f"f#{i}" for i in range(100)]}
    curated = {**many("", range(40, 100)), "_id": [f"f#{i}" for i in range(60)]}
    found = pool(write(tmp_path, raw, curated))
    assert found.copies is not None
    assert list(np.flatnonzero(found.copies == 0)) == list(range(40))


def test_edited_rows_of_the_same_id_are_still_traced(tmp_path):
    raw = {**many("<br> menu", range(100)), "_id": [f"f#{i}" for i in range(100)]}
    curated = {**many("", range(40, 100)), "_id": [f"f#{i}" for i in range(40, 100)]}
    found = pool(write(tmp_path, raw, curated))
    assert list(np.flatnonzero(found.copies)) == list(range(40, 100))


def test_repeated_ids_are_forgotten_everywhere(tmp_path):
    raw = {**many("", range(100)), "id": [f"{i % 10}" for i in range(100)]}
    raw["text"][0] = TEST["text"][0]
    curated = {**many("", range(1, 60)), "id": [f"{i % 10}" for i in range(1, 60)]}
    found = pool(write(tmp_path, raw, curated))
    assert found.leaked == {"raw": 1, "curated": 0}
    assert len(found.rows["curated"]) == 59


def test_edits_that_cannot_be_traced_may_hide_test_rows(tmp_path):
    raw = many("", range(100))
    raw["text"][:2] = TEST["text"]
    curated = many("edited", range(60))
    found = pool(write(tmp_path, raw, curated))
    assert found.untraced_edits.startswith("Curated may hold changed copies of the 2 test rows")
    assert pool(write(tmp_path, raw, many("", range(2, 60)))).untraced_edits is None


def test_other_case_is_other_data(tmp_path):
    first = pool(write(tmp_path)).hashes["curated"]
    shouted = {**CURATED, "text": [text.upper() for text in CURATED["text"]]}
    assert pool(write(tmp_path, curated=shouted)).hashes["curated"] != first
