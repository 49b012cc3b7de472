"""Runs out of the ordinary: limits, nothing left, other file systems, compressed giants."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_memory import Drop, read_ledger, read_shards, run_job

from curate.errors import RunFailed
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.engine import spool
from pipelines.readers import read_plan as plan
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.readers.reader import ChunkSize
from pipelines.steps import STEPS

Make = Callable[..., Any]


@pytest.fixture
def read(lines: Make) -> dict[str, Any]:
    for name in "ab":
        lines(f"in/{name}.jsonl", [{"text": f"{name} {i}"} for i in range(10)])
    return {"format": "jsonl", "path": str(lines("in/c.jsonl", [b"{broken"]).parent)}


@pytest.mark.parametrize(("limit", "rows"), [(1, 1), (13, 13), (21, 20), (500, 20)])
def test_limit_reads_the_first_records(
    recipe: Callable[..., Recipe], read: dict[str, Any], tmp_path: Path, limit: int, rows: int
) -> None:
    manifest = run_recipe(recipe(read, max_quarantined=1), limit=limit).manifest.as_json()
    assert manifest["rows"]["kept"] == rows
    assert manifest["rows"]["in"] == min(limit, 21)
    wanted = [f"{name} {i}" for name in "ab" for i in range(10)][:rows]
    assert read_shards(tmp_path / "out/train")["text"].to_pylist() == wanted


def test_column_that_few_records_have_can_be_named(
    recipe: Callable[..., Recipe], lines: Make, tmp_path: Path
) -> None:
    lines("in/a.jsonl", [{"text": "same", "score": 1}, {"text": "same", "score": 3, "by": "me"}])
    path = lines("in/b.jsonl", [{"text": "same"}, {"text": "other"}]).parent
    steps = [
        {"op": "exact_dedup", "prefer": "score"},
        {"op": "sample", "rows": 5, "by": "by"},
        {"op": "drop_columns", "columns": ["by"]},
    ]
    given = recipe({"format": "jsonl", "path": str(path)}, steps)
    for name, target in (("one", 1 << 26), ("many", 10)):
        (tmp_path / name).mkdir()
        outcome = run_job(tmp_path / name, given.read, given.steps, target_bytes=target)
        outcome.balance()
        assert outcome.rows().to_pydict() == {
            "text": ["same", "other"],
            "score": [3, None],
            "_id": [f"a.jsonl#{len(json.dumps({'text': 'same', 'score': 1})) + 1}", "b.jsonl#17"],
        }


def test_column_that_no_record_has_is_refused(
    recipe: Callable[..., Recipe], read: dict[str, Any]
) -> None:
    steps = [{"op": "exact_dedup", "columns": ["txt"]}]
    with pytest.raises(ValueError, match=r"'txt', which no record has.*did you mean 'text'"):
        run_recipe(recipe(read, steps))


def test_output_that_is_there_is_replaced_only_when_asked(
    recipe: Callable[..., Recipe], read: dict[str, Any], tmp_path: Path
) -> None:
    given = recipe(read, max_quarantined=1)
    run_recipe(given)
    with pytest.raises(FileExistsError, match="--overwrite"):
        run_recipe(given)
    (tmp_path / "out/train/stale.arrow").touch()
    run_recipe(given, overwrite=True)
    assert not (tmp_path / "out/train/stale.arrow").exists()


def test_run_without_a_row_left_fails_and_shows_why(
    recipe: Callable[..., Recipe], read: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match="no row is left of 21"):
        run_recipe(recipe(read, [Drop(word="")], max_quarantined=1))
    assert not (tmp_path / "out").exists()
    assert len(read_ledger(tmp_path / "out.rejected")) == 21
    assert (tmp_path / "out.rejected/_curate/report.html").exists()


def test_empty_input_fails(recipe: Callable[..., Recipe], lines: Make) -> None:
    path = lines("empty.jsonl", [])
    with pytest.raises(RunFailed, match="no row is left of 0"):
        run_recipe(recipe({"format": "jsonl", "path": str(path)}, [{"op": "exact_dedup"}]))


def test_run_on_another_file_system(recipe: Callable[..., Recipe], read: dict[str, Any]) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe(
        "/in/a.jsonl.gz", gzip.compress(b'{"text": "one"}\n{"text": "two"}\n{"text": "one"}')
    )
    remote = {"format": "jsonl", "path": "memory://in/*.jsonl.gz"}
    steps = [{"op": "exact_dedup"}, {"op": "embed"}, {"op": "near_dedup", "shingle": 1}]
    given = recipe(remote, steps, write={"path": "memory://place/out"})
    try:
        manifest = run_recipe(given).manifest.as_json()
        found = set(store.find("/place"))
        assert manifest["rows"]["kept"] == 2
        assert "/place/out/train/data-00000-of-00001.arrow" in found
        assert "/place/out/_curate/manifest.json" in found
        assert all(path.startswith("/place/out/") for path in found)
        with pytest.raises(FileExistsError):
            run_recipe(given)
    finally:
        store.store.clear()


def test_output_at_a_file_url(
    recipe: Callable[..., Recipe],
    read: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run_recipe(recipe(read, write={"path": f"file://{tmp_path}/url"}, max_quarantined=1))
    assert len(read_shards(tmp_path / "url/train")) == 20


def test_spooled_file_gives_the_rows_of_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"text": f"row {i // 3} " + "pad " * 20, "n": i, "odd": [i, "x"][i % 2]} for i in range(999)
    ]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    data += b'{"text": null, "only here": 1}\n{broken\n' * 40
    (tmp_path / "plain.jsonl").write_bytes(data)
    (tmp_path / "gz.jsonl.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(spool, "SPOOL_BYTES", 10_000)
    monkeypatch.setattr("pipelines.readers.compression.RATIO", 100)
    monkeypatch.setitem(plan.read_task.__kwdefaults__, "size", ChunkSize(rows=50))
    outcomes = []
    for name in ("plain.jsonl", "gz.jsonl.gz"):
        work = tmp_path / name.partition(".")[0]
        work.mkdir()
        steps = [STEPS["exact_dedup"](), STEPS["embed"](dimensions=16), STEPS["near_dedup"]()]
        read = Jsonl(path=str(tmp_path / name))
        outcomes.append(run_job(work, read, steps, target_bytes=20_000, shard_bytes=30_000))
    plain, packed = outcomes
    assert len(list((packed.work / "shards").rglob("piece.json"))) > 5
    assert plain.balance()[0] == packed.balance()[0]
    assert plain.balance()[0].quarantined == 80
    one, other = plain.rows(), packed.rows()
    assert one.column_names == ["text", "n", "odd", "_id", "_embedding"]
    assert one.drop_columns(["_id"]) == other.drop_columns(["_id"])
    assert [e.rows for e in plain.written] == [e.rows for e in packed.written]
