"""One column with different types in different files: equality and values are the corpus's."""

import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk

from curate.errors import RunFailed
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.readers import gather

ROWS = 9000
"""More than one chunk of a reader holds."""
NUMBERS = np.arange(ROWS)

PAIRS = {
    "numbers": (pa.array(NUMBERS), pa.array(NUMBERS.astype(float))),
    "widths": (pa.array(NUMBERS, pa.int16()), pa.array(NUMBERS, pa.uint64())),
    "optional field": (
        pa.array([{"a": i} for i in range(ROWS)]),
        pa.array(
            [{"b": None, "a": i} for i in range(ROWS)],
            pa.struct({"b": pa.string(), "a": pa.int32()}),
        ),
    ),
    "lists": (
        pa.array([[i] for i in range(ROWS)]),
        pa.array([[float(i)] for i in range(ROWS)], pa.large_list(pa.float64())),
    ),
    "moments": (
        pa.array(NUMBERS, pa.timestamp("s")),
        pa.array(NUMBERS * 10**9, pa.timestamp("ns")),
    ),
    "zones": (
        pa.array(NUMBERS, pa.timestamp("s", "UTC")),
        pa.array(NUMBERS * 1000, pa.timestamp("ms", "Asia/Tokyo")),
    ),
    "days": (
        pa.array(NUMBERS, pa.int32()).cast(pa.date32()),
        pa.array(NUMBERS * 86_400, pa.timestamp("s")),
    ),
    "decimals": (
        pa.array([Decimal(i) for i in range(ROWS)], pa.decimal128(9, 1)),
        pa.array([Decimal(i) for i in range(ROWS)], pa.decimal128(12, 5)),
    ),
    "bytes": (
        pa.array([b"%d" % i for i in range(ROWS)]),
        pa.array([str(i) for i in range(ROWS)], pa.large_string()),
    ),
    "digits": (pa.array(NUMBERS), pa.array([str(i) for i in range(ROWS)])),
}


def write(path, column):
    texts = [f"text {i}" for i in range(len(column))]
    pq.write_table(pa.table({"text": texts, "x": column}), path)


def run(folder, out, path, **more):
    given = {
        "name": "types",
        "read": {"format": "parquet", "path": [str(folder / name) for name in path]},
        "steps": [{"op": "exact_dedup", "columns": ["x"], **more}],
        "write": {"path": str(folder / out), "keys": True},
    }
    return run_recipe(Recipe.model_validate_json(json.dumps(given))).manifest


@pytest.mark.parametrize("kind", PAIRS)
def test_equal_values_are_duplicates_whatever_their_types(kind, tmp_path):
    one, other = PAIRS[kind]
    write(tmp_path / "a.parquet", one)
    write(tmp_path / "b.parquet", other)
    manifest = run(tmp_path, "both", ["a.parquet", "b.parquet"])
    assert (manifest.rows.kept, manifest.rows.dropped) == (ROWS, ROWS)
    assert any("column 'x'" in note.note for note in manifest.notes)
    run(tmp_path, "first", ["a.parquet"])
    with pytest.raises(RunFailed, match=r"no row is left of 9,000: 9,000 duplicate"):
        run(tmp_path, "later", ["b.parquet"], against=str(tmp_path / "first"))


def test_notes_and_rows_do_not_depend_on_how_files_share_chunks(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", pa.array([1234567890123456789, 2]))
    write(tmp_path / "b.parquet", pa.array([2.0, 0.5]))
    write(tmp_path / "c.parquet", pa.array(["2", "z"]))
    names = ["a.parquet", "b.parquet", "c.parquet"]
    together = run(tmp_path, "out", names)
    monkeypatch.setattr(gather, "_joined", lambda chunks: chunks[0])
    monkeypatch.setattr("pipelines.readers.read_plan.gather", lambda chunks, size: chunks)
    apart = run(tmp_path, "apart", names)
    assert [w.sha256 for w in apart.shards] == [w.sha256 for w in together.shards]
    assert apart.notes == together.notes
    kept = load_from_disk(tmp_path / "out")["train"]["x"]
    assert sorted(kept) == ["0.5", "1234567890123456789", "2", "z"]
