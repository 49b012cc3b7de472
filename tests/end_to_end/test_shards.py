"""The files of the output: their names, sizes, order and hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from in_memory import read_ledger, run_job

from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.output.writer import rebatch
from pipelines.readers.formats.jsonl import Jsonl

Make = Callable[..., Any]


def rows_of(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        table: pa.Table = stream.read_all()
    return table


def test_shards_hold_the_rows_of_each_split_in_input_order(
    recipe: Callable[..., Recipe], lines: Make, tmp_path: Path
) -> None:
    for name in "ab":
        lines(f"in/{name}.jsonl", [{"text": f"{i} " + "x" * (i % 90), "n": i} for i in range(200)])
    read = {"format": "jsonl", "path": str(tmp_path / "in")}
    split = {"op": "split", "shares": {"train": 0.7, "validation": 0.3}}
    manifest = run_recipe(recipe(read, [split], write={"shard_size": "4kB"})).manifest.as_json()

    out = tmp_path / "out"
    shards = manifest["shards"]
    for entry in [*shards, *manifest["ledger"]]:
        assert hashlib.sha256((out / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    for name in ("train", "validation"):
        mine = [entry for entry in shards if entry["file"].startswith(f"{name}/")]
        count = len(mine)
        assert count > 1
        assert [entry["file"] for entry in mine] == [
            f"{name}/data-{i:05d}-of-{count:05d}.arrow" for i in range(count)
        ]
        tables = [rows_of(out / entry["file"]) for entry in mine]
        assert [len(table) for table in tables] == [entry["rows"] for entry in mine]
        sizes = [table.nbytes for table in tables]
        assert max(sizes) < 10_000
        rows = pa.concat_tables(tables)
        assert manifest["splits"][name] == len(rows)
        places = [(file, int(at)) for file, at in (i.split("#") for i in rows["_id"].to_pylist())]
        assert places == sorted(places)
        state = json.loads((out / name / "state.json").read_text())
        assert [f["filename"] for f in state["_data_files"]] == [
            entry["file"].partition("/")[2] for entry in mine
        ]
    assert sum(manifest["splits"].values()) == manifest["rows"]["kept"] == 400
    splits = {r["id"]: r["split"] for r in read_ledger(out)}
    assert len(splits) == 400


@pytest.mark.parametrize("size", [1, 100, 1000, 10_000])
def test_no_shard_is_empty_and_none_is_lost(tmp_path: Path, lines: Make, size: int) -> None:
    texts = ["", "x" * 3000, "", *("y" * (i * 37 % 200) for i in range(60)), "z" * 900, ""]
    path = lines("in.jsonl", [{"text": t, "id": ""} for t in texts])
    (tmp_path / "work").mkdir()
    outcome = run_job(tmp_path / "work", Jsonl(path=str(path)), shard_bytes=size)
    outcome.balance()
    shards = [one for one in outcome.written if one.file.startswith("train/")]
    assert all(one.rows for one in shards)
    assert outcome.rows()["text"].to_pylist() == texts


def test_ledger_is_cut_into_files_of_a_number_of_records(
    tmp_path: Path, lines: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("finish", "writer"):
        monkeypatch.setattr(f"pipelines.output.{module}.LEDGER_ROWS", 7)
    path = lines("in.jsonl", [{"text": f"row {i}"} for i in range(30)] + [b"{"])
    (tmp_path / "work").mkdir()
    outcome = run_job(tmp_path / "work", Jsonl(path=str(path)), target_bytes=100)
    outcome.balance()
    parts = [one.rows for one in outcome.written if "/ledger/" in one.file]
    assert parts == [7, 7, 7, 7, 3]
    keys = [record["key"] for record in outcome.ledger()]
    assert keys == sorted(keys)


def test_what_lies_under_nulls_is_not_written(tmp_path: Path) -> None:
    def table(residue: int) -> pa.Table:
        valid = pa.py_buffer(bytes([0b101]))
        offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
        letters = pa.py_buffer(bytes([97, residue, 99]))
        bits = pa.py_buffer(bytes([0b101 | residue % 32 << 3]))
        child = pa.array(["x", chr(residue), "z"])
        return pa.table(
            {
                "text": ["a", "b", "c"],
                "number": pa.Array.from_buffers(pa.int8(), 3, [valid, letters]),
                "letter": pa.Array.from_buffers(pa.string(), 3, [valid, offsets, letters]),
                "pair": pa.StructArray.from_arrays(
                    [child], ["p"], mask=pa.array([False, True, False])
                ),
                "yes": pa.Array.from_buffers(pa.bool_(), 3, [None, bits]),
            }
        )

    first, second = (list(rebatch([table(residue)])) for residue in (98, 99))
    assert first == second
    assert first[0]["letter"].to_pylist() == ["a", None, "c"]
    assert [batch.serialize() for batch in first] == [batch.serialize() for batch in second]
    assert first[0].serialize() != table(98).to_batches()[0].serialize()


def test_batches_are_cut_at_the_same_rows_wherever_they_were_cut_before() -> None:
    table = pa.table({"n": pa.array([i if i % 7 else None for i in range(2500)])})
    whole = list(rebatch([table]))
    assert [len(batch) for batch in whole] == [1000, 1000, 500]
    for size in (1, 999, 1001):
        cut = rebatch(table.slice(start, size) for start in range(0, 2500, size))
        assert [b.serialize() for b in cut] == [b.serialize() for b in whole]
