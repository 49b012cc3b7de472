"""Data that comes in deliveries is deduplicated as if it had come at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from in_memory import read_ledger

from curate.errors import RunFailed
from curate.inspect.clusters import clusters_of
from curate.inspect.explain import explain_row, open_ledger
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe

Make = Callable[..., Any]


def texts(delivery: int) -> list[dict[str, Any]]:
    """Texts of a delivery: its own, and copies, near-copies and chains of them and of the first."""
    rng = np.random.default_rng(delivery)
    rows = []
    for i in range(60):
        topic = i if i % 3 else i + 1000 * delivery  # two of three are in every delivery
        words = [f"t{topic}w{j}" for j in range(40)]
        for copy in range(1 + i % 2):
            changed = list(words)
            changed[int(rng.integers(40))] = f"x{delivery}{i}{copy}"
            rows.append({"id": f"d{delivery}-{i:02d}-{copy}", "text": " ".join(changed)})
        if i % 5 == 0:
            rows.append({"id": f"d{delivery}-{i:02d}-same", "text": " ".join(words)})
    return rows


def survivors(out: Path) -> set[str]:
    return {row["id"] for row in read_ledger(out) if row["fate"] == "kept"}


STEPS: dict[str, list[dict[str, Any]]] = {
    "exact": [{"op": "exact_dedup"}],
    "near": [{"op": "near_dedup", "similarity": 0.5}],
    "chars": [{"op": "near_dedup", "similarity": 0.6, "unit": "char"}],
    "semantic": [{"op": "embed"}, {"op": "semantic_dedup", "similarity": 0.8}],
    "all": [
        {"op": "exact_dedup"},
        {"op": "near_dedup", "similarity": 0.5},
        {"op": "embed"},
        {"op": "semantic_dedup", "similarity": 0.8},
    ],
}


def steps_of(name: str, **options: Any) -> list[dict[str, Any]]:
    """Return steps that keep the earliest row, the dedup ones with these options too."""
    return [
        step if step["op"] == "embed" else {**step, "keep": "earliest", **options}
        for step in STEPS[name]
    ]


@pytest.mark.parametrize("name", list(STEPS))
def test_two_deliveries_keep_what_one_would(
    recipe: Make, lines: Make, tmp_path: Path, name: str
) -> None:
    for delivery in (1, 2):
        lines(f"in/{delivery}.jsonl", texts(delivery))

    def run(which: str, out: str, steps: list[dict[str, Any]], keys: bool = False) -> set[str]:
        read = {"format": "jsonl", "path": str(tmp_path / "in" / which), "id": "id"}
        write = {"path": str(tmp_path / out), "keys": keys}
        run_recipe(Recipe(name="t", read=read, steps=tuple(steps), write=write))
        return survivors(tmp_path / out)

    at_once = run("*.jsonl", "at-once", steps_of(name))
    first = run("1.jsonl", "first", steps_of(name), keys=True)
    shutil.rmtree(tmp_path / "first/train")  # its rows are not needed
    alone = run("2.jsonl", "alone", steps_of(name))
    second = run("2.jsonl", "second", steps_of(name, against=str(tmp_path / "first")))
    assert second < alone
    assert first | second == at_once

    ledger = read_ledger(tmp_path / "second")
    gone = [row for row in ledger if row["detail"] == "which an earlier run has"]
    assert gone
    assert {row["other"].split("-")[0] for row in gone} == {"d1"}
    assert explain_row(tmp_path / "second", gone[0]["id"]).lines()


def test_rows_that_were_delivered_stay_though_a_later_one_links_them(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    words = [f"w{i}" for i in range(40)]
    left, middle, right = ([*words[:20], *"abcdef", *words[26:]], words, [*"ghijkl", *words[6:]])
    kept = {}
    for name, texts_of in (("first", (left, right)), ("second", (middle, ["new"]))):
        path = lines(f"{name}.jsonl", [{"id": t[0], "text": " ".join(t)} for t in texts_of])
        step = {"op": "near_dedup", "similarity": 0.55, "keep": "earliest"}
        if name == "second":
            step["against"] = str(tmp_path / "first")
        write = {"path": str(tmp_path / name), "keys": True}
        read = {"format": "jsonl", "path": str(path)}
        kept[name] = run_recipe(recipe(read, [step], write=write)).manifest.rows.kept
    assert kept == {"first": 2, "second": 1}


@pytest.mark.parametrize(("link", "kept"), [("direct", 2), ("chain", 1)])
def test_a_row_that_only_a_dropped_one_resembles_is_kept(
    recipe: Make, lines: Make, tmp_path: Path, link: str, kept: int
) -> None:
    words = [f"w{i}" for i in range(40)]
    near = [*"abcdefgh", *words[8:]]
    nearer = [*"abcdefghijklmnop", *words[16:]]
    for name, texts_of in (("first", (words, near)), ("second", (nearer, ["else"]))):
        path = lines(f"{name}.jsonl", [{"id": t[-1] + t[0], "text": " ".join(t)} for t in texts_of])
        step = {"op": "near_dedup", "similarity": 0.5, "keep": "earliest", "link": link}
        if name == "second":
            step["against"] = str(tmp_path / "first")
        write = {"path": str(tmp_path / name), "keys": True}
        read = {"format": "jsonl", "path": str(path)}
        made = run_recipe(recipe(read, [step], write=write)).manifest
    assert made.rows.kept == kept


def test_third_delivery_is_held_against_both(recipe: Make, lines: Make, tmp_path: Path) -> None:
    for delivery, words in ((1, "a b"), (2, "a b|c d"), (3, "a b|c d|e f|e f")):
        lines(f"in/{delivery}.jsonl", [{"text": text} for text in words.split("|")])
    kept = []
    for delivery in (1, 2, 3):
        earlier = [str(tmp_path / f"out{i}") for i in range(1, delivery)]
        given = recipe(
            {"format": "jsonl", "path": str(tmp_path / f"in/{delivery}.jsonl")},
            [{"op": "exact_dedup", "against": earlier}],
            write={"path": str(tmp_path / f"out{delivery}"), "keys": True},
        )
        kept.append(run_recipe(given).manifest.rows.kept)
    assert kept == [1, 1, 1]


def test_keys_are_the_same_bytes_for_any_cut(recipe: Make, lines: Make, tmp_path: Path) -> None:
    for delivery in (1, 2):
        lines(f"in/{delivery}.jsonl", texts(delivery))
    found = []
    for workers in (1, 2):
        given = recipe(
            {"format": "jsonl", "path": str(tmp_path / "in")},
            steps_of("all"),
            write={"path": str(tmp_path / f"out{workers}"), "keys": True},
        )
        made = run_recipe(given, workers=workers).manifest
        found.append(made.keys)
    assert found[0] == found[1]
    assert [entry.op for entry in found[0]] == ["exact_dedup", "near_dedup", "semantic_dedup"]
    (file,) = found[0][1].files
    stored = pq.read_table(tmp_path / "out1" / file.file)
    (all_rows,) = found[0][0].files  # of exact_dedup: whatever became of them
    (near,) = [step for step in made.steps if step.op == "near_dedup"]
    assert len(stored) == file.rows == near.kept < all_rows.rows


def test_pictures_are_held_against_earlier_ones(
    recipe: Make, picture: Callable[[int], bytes], tmp_path: Path
) -> None:
    for delivery, seeds in ((1, (1, 2)), (2, (2, 3))):
        folder = tmp_path / f"in{delivery}/things"
        folder.mkdir(parents=True)
        for seed in seeds:
            (folder / f"{seed}.jpg").write_bytes(picture(seed))

    def run(delivery: int, **options: Any) -> int:
        given = recipe(
            {"format": "images", "path": str(tmp_path / f"in{delivery}")},
            [{"op": "image_near_dedup", **options}],
            write={"path": str(tmp_path / f"out{delivery}"), "keys": delivery == 1},
        )
        return int(run_recipe(given).manifest.rows.kept)

    assert run(1) == 2
    assert run(2, against=[str(tmp_path / "out1")]) == 1


@pytest.mark.parametrize(("link", "like_odd"), [("direct", None), ("chain", "semantic_duplicate")])
def test_vectors_are_held_against_those_of_another_column_type_and_length(
    recipe: Make, lines: Make, tmp_path: Path, link: str, like_odd: str | None
) -> None:
    def vectors(*of: list[float]) -> list[dict[str, Any]]:
        return [{"id": f"r{i}", "text": "x" * i, "score": i, "v": v} for i, v in enumerate(of)]

    long = [[i + 1, 1, i * i] for i in range(8)]  # as long as most of the first delivery
    kept = []
    for delivery, rows in (
        (1, vectors([3, 4], *long, [0, 2])),
        (2, vectors([0.6, 0.8], [1.0, 0.0], long[0], [0.0, 0.5], [0.99, 0.01])),
    ):
        column = f"v{delivery}"
        named = [{column if name == "v" else name: row[name] for name in row} for row in rows]
        step = {"op": "semantic_dedup", "column": column, "prefer": "score", "link": link}
        if delivery == 2:
            step["against"] = str(tmp_path / "out1")
        read = {"format": "jsonl", "path": str(lines(f"in/{delivery}.jsonl", named)), "id": "id"}
        out = tmp_path / f"out{delivery}"
        run_recipe(recipe(read, [step], write={"path": str(out), "keys": True}))
        kept.append({row["id"]: row["reason"] for row in read_ledger(out)})
    assert kept[0]["r0"] == kept[0]["r9"] == "odd_vector"
    assert kept[1] == {
        "r0": like_odd,  # only like a vector that was odd, and dropped, in the first delivery
        "r1": "semantic_duplicate",
        "r2": "odd_vector",
        "r3": like_odd,
        "r4": None,
    }


def test_run_without_fit_keys_is_refused_before_anything_runs(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    read = {"format": "jsonl", "path": str(lines("in.jsonl", [{"text": "a b"}]))}
    out = str(tmp_path / "first")

    def run(step: dict[str, Any], **write: Any) -> None:
        run_recipe(recipe(read, [step], write=write))

    against = {"op": "near_dedup", "against": out}
    with pytest.raises(ValueError, match=r"first: no _curate/manifest\.json there"):
        run(against)
    run({"op": "near_dedup"}, path=out)
    with pytest.raises(ValueError, match=r"stored no keys of near_dedup \(stored: none\)"):
        run(against)
    run({"op": "near_dedup", "shingle": 3}, path=out, keys=True, overwrite=True)
    with pytest.raises(ValueError, match=r"other options \(shingle: 3 there, None here\)"):
        run(against)
    assert not (tmp_path / "out").exists()
    place = tmp_path / "first/_curate/manifest.json"
    manifest = json.loads(place.read_text())
    assert manifest["keys"][0]["files"][0]["rows"] == 1
    manifest["keys"][0]["format"] = 0
    place.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="its keys are of format 0, this version has 2"):
        run(against)


def test_vectors_of_another_model_are_refused(recipe: Make, lines: Make, tmp_path: Path) -> None:
    read = {"format": "jsonl", "path": str(lines("in.jsonl", [{"text": "a b"}]))}
    first = tmp_path / "first"

    def run(dimensions: int, out: Path, **options: Any) -> None:
        steps = [{"op": "embed", "dimensions": dimensions}, {"op": "semantic_dedup", **options}]
        run_recipe(recipe(read, steps, write={"path": str(out), "keys": True}))

    run(16, first)
    with pytest.raises(ValueError, match=r"made_by: {.*16.*} there, {.*32.*} here"):
        run(32, tmp_path / "second", against=str(first))


def test_step_without_rows_stores_no_keys(recipe: Make, lines: Make, tmp_path: Path) -> None:
    read = {"format": "jsonl", "path": str(lines("in.jsonl", [{"text": "a b"}, {"text": "a b"}]))}
    first = {"path": str(tmp_path / "first"), "keys": True}
    short = [{"op": "word_count", "at_least": 9}, {"op": "exact_dedup"}]
    with pytest.raises(RunFailed, match="no row is left"):
        run_recipe(recipe(read, short, write=first))
    rejected = tmp_path / "first.rejected"
    against = [{"op": "exact_dedup", "against": str(rejected)}]
    assert run_recipe(recipe(read, against)).manifest.rows.kept == 1


def test_columns_named_like_stored_keys_are_columns_like_others(recipe: Make, lines: Make) -> None:
    alike = {"_high": 1, "_low": 2, "_shingles": "x"}
    path = lines("in.jsonl", [{"text": text, **alike} for text in ("some words", "other words")])
    steps = [{"op": "exact_dedup"}, {"op": "near_dedup"}]
    made = run_recipe(recipe({"format": "jsonl", "path": str(path)}, steps))
    assert made.manifest.rows.kept == 2


def test_rows_of_equal_ids_in_two_deliveries_are_told_apart(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    texts_of = {1: ["old row"], 2: ["new row", "old row"]}
    for delivery, texts_here in texts_of.items():
        path = lines(f"in{delivery}/d.jsonl", [{"text": text} for text in texts_here])
        step = {
            "op": "exact_dedup",
            **({"against": str(tmp_path / "out1")} if delivery > 1 else {}),
        }
        write = {"path": str(tmp_path / f"out{delivery}"), "keys": True}
        run_recipe(recipe({"format": "jsonl", "path": str(path.parent)}, [step], write=write))
    (gone,) = [row for row in read_ledger(tmp_path / "out2") if row["fate"] == "dropped"]
    assert gone["other"] == "d.jsonl#0"  # also the id of the row that stays
    ledger = open_ledger(tmp_path / "out2").get_fragments()
    members = clusters_of(part.to_table() for part in ledger)
    assert members["earlier"].to_pylist() == [True, True]
    assert not explain_row(tmp_path / "out2", gone["id"]).others
    assert "new row" not in (tmp_path / "out2/_curate/report.html").read_text()
