"""A few mutants of each format end as the fuzz run says they must; thousands are a benchmark."""

import fuzz
import pytest


@pytest.mark.parametrize(
    "name", ["arrow", "arrow file", "arrow types", "parquet", "csv", "gz", "png", "recipe"]
)
def test_mutants_neither_crash_nor_hang_nor_vanish(name, tmp_path):
    counts = fuzz.fuzz(name, 40, 7, tmp_path)
    assert counts["ran"] + counts["refused"] == 40


def test_crash_is_hunted_down(tmp_path, monkeypatch):
    files = [tmp_path / f"{i}.jsonl" for i in range(9)]

    def run(batch, name, work):
        return ("crashed" if files[5] in batch else "ran"), ""

    monkeypatch.setattr(fuzz, "_run", run)
    found = {file: ended for file, ended, _ in fuzz._hunt(files, "jsonl", tmp_path)}
    assert found == {file: "crashed" if file is files[5] else "ran" for file in files}
