import json
from pathlib import Path

from curate.run.output import write_dataset_files, write_text
from pipelines.output.summary import rows_by_split
from pipelines.output.written import WrittenFile


def written(*digests: str) -> list[WrittenFile]:
    names = [f"train/data-{i:05d}-of-{len(digests):05d}.arrow" for i in range(len(digests))]
    shards = [
        WrittenFile(file=name, rows=2, sha256=digest)
        for name, digest in zip(names, digests, strict=True)
    ]
    ledger = WrittenFile(file="_curate/ledger/x.parquet", rows=9, sha256="l")
    return [ledger, *reversed(shards), WrittenFile(file="test/data.arrow", rows=1, sha256="t")]


def test_dataset_files_name_shards_in_order(tmp_path: Path) -> None:
    features = {"text": {"dtype": "string", "_type": "Value"}}
    write_dataset_files(str(tmp_path), written("a", "b"), features)
    assert rows_by_split(written("a", "b")) == {"test": 1, "train": 4}
    state = json.loads((tmp_path / "train/state.json").read_text())
    names = [entry["filename"] for entry in state["_data_files"]]
    assert names == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert json.loads((tmp_path / "dataset_dict.json").read_text()) == {"splits": ["test", "train"]}
    info = json.loads((tmp_path / "test/dataset_info.json").read_text())
    assert info == {"features": features}
    assert not (tmp_path / "state.json").exists()
    assert not (tmp_path / "_curate").exists()


def test_fingerprint_changes_with_any_shard(tmp_path: Path) -> None:
    found = set()
    for digests in (("a", "b"), ("a", "c"), ("a",)):
        write_dataset_files(str(tmp_path), written(*digests), {})
        state = json.loads((tmp_path / "train/state.json").read_text())
        found.add(state["_fingerprint"])
    assert len(found) == 3


def test_text_that_is_no_unicode_can_be_written(tmp_path: Path) -> None:
    write_text(str(tmp_path / "x"), "a\udcff")
    assert (tmp_path / "x").read_bytes() == b"a\\udcff"
