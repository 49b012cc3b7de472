"""The same recipe and data give the same bytes, however the work is cut and whoever does it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_memory import run_job

from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.engine import spool
from pipelines.readers import read_plan as plan
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.readers.reader import ChunkSize
from pipelines.steps.dedup.clusters import cluster_rounds

STEPS = [
    {"op": "normalize_text"},
    {"op": "word_count", "at_least": 3},
    {"op": "exact_dedup", "ignore": ["case"]},
    {"op": "near_dedup", "similarity": 0.7, "shingle": 2},
    {"op": "embed", "dimensions": 64},
    {"op": "semantic_dedup", "similarity": 0.9},
    {"op": "sample", "fraction": 0.8},
    {"op": "split"},
    {"op": "augment_text", "method": "keyboard"},
]
WORDS = [f"word{i}" for i in range(31)]


def corpus(rows: int) -> list[dict[str, Any]]:
    """Make rows with exact, near and other duplicates, and columns that come and go."""
    rng = random.Random(0)
    made: list[dict[str, Any]] = []
    for i in range(rows):
        text = " ".join(rng.choices(WORDS, k=rng.randint(2, 30)))
        kind = rng.random()
        if made and kind < 0.3:
            text = rng.choice(made)["text"]
            words = text.split()
            words[rng.randrange(len(words))] = "new"
            text = (text, text.upper(), " ".join(words), " ".join(reversed(words)))[i % 4]
        row: dict[str, Any] = {"text": text, "label": rng.choice(["cat", "dog", None])}
        if kind > 0.9:
            row["extra"] = rng.choice([1, 2.5, "many", {"of": [1]}, ["x"]])
        made.append(row)
    return made


@pytest.fixture
def folder(lines: Callable[..., Path]) -> Path:
    rows = corpus(400)
    lines("in/a.jsonl", rows[:150])
    lines("in/b.jsonl", rows[150:160])
    lines("in/c.jsonl.gz", rows[160:250])
    return lines("in/d.jsonl", rows[250:]).parent


@pytest.fixture
def same(recipe: Callable[..., Recipe], folder: Path) -> Recipe:
    return recipe({"format": "jsonl", "path": str(folder)}, STEPS, write={"shard_size": 50_000})


def digests(manifest: dict[str, Any]) -> dict[str, str]:
    return {entry["file"]: entry["sha256"] for entry in manifest["shards"] + manifest["ledger"]}


def test_bytes_do_not_depend_on_tasks_chunks_and_pieces(
    tmp_path: Path, folder: Path, same: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(name: str, target: int, size: ChunkSize, **rest: Any) -> dict[str, str]:
        (tmp_path / name).mkdir()
        monkeypatch.setitem(plan.read_task.__kwdefaults__, "size", size)
        read = Jsonl(path=str(folder))
        done = run_job(
            tmp_path / name, read, same.steps, target_bytes=target, shard_bytes=50_000, **rest
        )
        done.balance()
        return done.digests

    whole = outcome("whole", 1 << 26, ChunkSize())
    assert len(whole) > 4
    assert outcome("rows", 1 << 26, ChunkSize(rows=17)) == whole
    assert outcome("bytes", 1 << 26, ChunkSize(bytes=1000)) == whole
    assert outcome("tasks", 3000, ChunkSize()) == whole
    assert outcome("arrival", 3000, ChunkSize(), shuffle=1) == whole
    monkeypatch.setattr(spool, "SPOOL_BYTES", 2000)
    assert outcome("pieces", 2000, ChunkSize(rows=7)) == whole
    assert len(list((tmp_path / "pieces").rglob("piece.json"))) > 3


@pytest.mark.parametrize("conflicts", ["keep", "drop_all", "majority"])
def test_what_is_done_about_labels_does_not_depend_on_tasks_and_chunks(
    tmp_path: Path, folder: Path, same: Recipe, monkeypatch: pytest.MonkeyPatch, conflicts: str
) -> None:
    """Neither do the notes, nor which classes each step took."""
    dedup = ("exact_dedup", "near_dedup", "semantic_dedup")
    steps = [
        step.model_copy(update={"conflicts": conflicts}) if step.op in dedup else step
        for step in same.steps
    ]

    def outcome(name: str, target: int, size: ChunkSize, **rest: Any) -> tuple[Any, ...]:
        (tmp_path / name).mkdir()
        monkeypatch.setitem(plan.read_task.__kwdefaults__, "size", size)
        read = Jsonl(path=str(folder))
        done = run_job(tmp_path / name, read, steps, target_bytes=target, **rest)
        done.balance()
        lost = [(tally.step, tally.reasons, tally.lost) for tally in done.summary.tallies]
        return done.digests, done.summary.notes, lost

    whole = outcome("whole", 1 << 26, ChunkSize())
    noted = {note.step for note in whole[1] if "another label" in note.note}
    settled = {step for step, reasons, _ in whole[2] if "label_conflict" in reasons}
    assert noted == (set() if conflicts == "drop_all" else {3, 4, 6} & noted)
    assert (len(noted) >= 1) == (conflicts != "drop_all")
    assert (len(settled) >= 2) == (conflicts != "keep")
    assert outcome("cut", 3000, ChunkSize(rows=17), shuffle=1) == whole
    monkeypatch.setattr(cluster_rounds, "SPREAD_FROM", 1)
    spread = outcome("spread", 3000, ChunkSize(bytes=1000), shuffle=2)
    assert (spread[0], spread[2]) == (whole[0], whole[2])


def test_bytes_do_not_depend_on_the_runner(
    same: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.run.run.SMALLEST_TASK", 4000)
    again = same.model_copy(update={"write": same.write.model_copy(update={"overwrite": True})})
    first = run_recipe(same).manifest.as_json()
    assert first["rows"]["dropped"] > 100
    reasons = first["dropped_by_reason"].keys()
    assert reasons == {
        "too_short",
        "duplicate",
        "near_duplicate",
        "semantic_duplicate",
        "not_sampled",
    }
    assert first["rows"]["derived"] > 100
    assert digests(first) == digests(run_recipe(again).manifest.as_json())
    assert digests(first) == digests(run_recipe(again, workers=2).manifest.as_json())
    assert digests(first) == digests(run_recipe(again, runner="dask", workers=2).manifest.as_json())
