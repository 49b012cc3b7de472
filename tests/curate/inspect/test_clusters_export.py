"""Clusters of duplicates as the ledger tells them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from curate.cli import main
from curate.inspect.clusters import SCHEMA, clusters_of, summary, write_clusters
from pipelines.ledger.entries import DROPPED, KEPT, records


def ledger() -> list[pa.Table]:
    kept = records(2, KEPT, key=pa.array([0, 1]), id=pa.array(["a", "b"]))
    gone = records(
        3,
        DROPPED,
        key=pa.array([2, 3, 4]),
        id=pa.array(["c", "d", "e"]),
        step=pa.array([2, 2, 3]),
        op=pa.array(["near_dedup", "near_dedup", "semantic_dedup"]),
        reason=pa.array(["near_duplicate", "near_duplicate", "semantic_duplicate"]),
        other=pa.array(["a", "a", "b"]),
        value=pa.array([0.85, 0.95, 0.99]),
        detail=pa.array(["linked through d (0.81)", None, None]),
    )
    far = {"id": pa.array(["f"]), "reason": "covered", "other": "a", "value": pa.array([0.3])}
    covered = records(1, DROPPED, key=pa.array([5]), step=1, op="k_center", **far)
    return [pa.concat_tables([kept, gone]), covered]


def test_clusters_hold_the_kept_row_and_each_member_with_its_similarity() -> None:
    members = clusters_of(ledger())
    assert members.schema == SCHEMA
    told = members.select(["step", "cluster", "id", "keeper", "similarity"]).to_pylist()
    assert [tuple(line.values()) for line in told] == [
        (2, "a", "a", True, 1.0),
        (2, "a", "d", False, 0.95),
        (2, "a", "c", False, 0.85),
        (3, "b", "b", True, 1.0),
        (3, "b", "e", False, 0.99),
    ]
    assert members["detail"].to_pylist()[2] == "linked through d (0.81)"
    assert clusters_of(ledger(), step=3)["cluster"].unique().to_pylist() == ["b"]
    first, second = summary(members)
    assert (first.clusters, first.rows, first.lowest) == (1, 3, 0.85)
    assert second.largest == (("b", 2, 0.99),)


@pytest.mark.parametrize("name", ["c.parquet", "sub/c.csv"])
def test_command_shows_and_writes_clusters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "_curate" / "ledger"
    folder.mkdir(parents=True)
    for i, part in enumerate(ledger()):
        pq.write_table(part, folder / f"part-{i:05d}-of-00002.parquet")
    wanted = tmp_path / name
    result = CliRunner().invoke(main, ["clusters", str(tmp_path), "--to", str(wanted)])
    assert result.exit_code == 0, result.output
    assert "step 2 (near_dedup): 3 rows in 1 clusters" in result.output
    assert "5 members" in result.output
    read = pq.read_table if wanted.suffix == ".parquet" else pyarrow.csv.read_csv
    assert read(wanted)["id"].to_pylist() == ["a", "d", "c", "b", "e"]


def test_clusters_of_a_run_without_duplicates_are_none(tmp_path: Path) -> None:
    members = clusters_of(ledger()[1:])
    assert len(members) == 0
    assert summary(members) == []
    with pytest.raises(ValueError, match=r"written as \.parquet or \.csv"):
        write_clusters(members, tmp_path / "c.txt")


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    ids = ["=1+1", "+2", "-3", "@x", "\tx", "\r=1", "＝1+1", "fine", "a=b"]
    columns = {field.name: pa.nulls(len(ids), field.type) for field in SCHEMA}
    members = pa.table({**columns, "id": pa.array(ids)}, schema=SCHEMA)
    write_clusters(members, tmp_path / "c.csv")
    read = pyarrow.csv.read_csv(tmp_path / "c.csv")["id"].to_pylist()
    assert read == ["'=1+1", "'+2", "'-3", "'@x", "'\tx", "'\r=1", "'＝1+1", "fine", "a=b"]
    write_clusters(members, tmp_path / "c.parquet")
    assert pq.read_table(tmp_path / "c.parquet")["id"].to_pylist() == ids
