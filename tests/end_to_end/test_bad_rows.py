"""A bad row is named and set aside; the rows beside it survive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_memory import Poison, read_ledger, read_shards

from curate.errors import TooManyQuarantined
from curate.run.run import run_recipe

Make = Callable[..., Any]


@pytest.fixture
def bad_text(lines: Make) -> dict[str, Any]:
    """Two files, one compressed, of 12 good rows and 7 bad ones."""
    good = [{"text": f"good row {i}", "n": i} for i in range(6)]
    poison = {"text": "a poison row"}
    broken, not_utf8 = b'{"text": "cut of', b'{"text": "\xff\xfe"}'
    lines(
        "in/a.jsonl", [*good[:2], broken, *good[2:4], not_utf8, {"text": None}, *good[4:], poison]
    )
    path = lines("in/b.jsonl.gz", [broken, *good, not_utf8, poison])
    return {"format": "jsonl", "path": str(path.parent)}


def test_bad_rows_are_quarantined_alone(
    recipe: Make, bad_text: dict[str, Any], tmp_path: Path
) -> None:
    result = run_recipe(recipe(bad_text, [Poison()], max_quarantined=7))
    rows = result.manifest.rows
    assert rows.as_json() == {"in": 19, "kept": 12, "dropped": 0, "quarantined": 7, "derived": 0}
    assert sorted(read_shards(tmp_path / "out/train")["n"].to_pylist()) == sorted([*range(6)] * 2)

    ledger = read_ledger(tmp_path / "out")
    assert len({record["id"] for record in ledger}) == 19
    bad = [record for record in ledger if record["fate"] == "quarantined"]
    assert [(r["file"], r["op"], r["where"].partition(",")[0]) for r in bad] == [
        ("a.jsonl", "read", "line 3"),
        ("a.jsonl", "read", "line 6"),
        ("a.jsonl", "read", "line 7"),
        ("a.jsonl", "poison", f"byte {_offset_of_poison(tmp_path / 'in/a.jsonl')}"),
        ("b.jsonl.gz", "read", "line 1"),
        ("b.jsonl.gz", "read", "line 8"),
        ("b.jsonl.gz", "poison", bad[-1]["where"]),
    ]
    errors = [record["error"] for record in bad]
    assert "broken JSON" in errors[0]
    assert "UTF-8" in errors[1]
    assert "null" in errors[2]
    assert errors[3] == "ArithmeticError: cannot take 'a poison row'"
    assert [record["reason"] for record in bad].count("raised") == 2


def _offset_of_poison(path: Path) -> int:
    data = path.read_bytes()
    return data.rindex(b"\n", 0, data.index(b"poison")) + 1


def test_bad_rows_past_the_budget_reject_the_run(
    recipe: Make, bad_text: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TooManyQuarantined) as caught:
        run_recipe(recipe(bad_text, max_quarantined=0))
    assert caught.value.quarantined == 5
    assert "a.jsonl: line 3" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert len(read_ledger(tmp_path / "out.rejected")) == 19
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_bad_images_are_quarantined_alone(recipe: Make, picture: Make, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for i in range(4):
            data = picture(i + 10 * (label == "dog"))
            (tmp_path / "in" / label / f"{i}.jpg").write_bytes(data)
    (tmp_path / "in/cat/cut.jpg").write_bytes(picture(3)[:300])
    (tmp_path / "in/dog/empty.jpg").write_bytes(b"")

    read = {"format": "images", "path": str(tmp_path / "in")}
    check = {"op": "image_check", "sharpness_at_least": None}
    result = run_recipe(recipe(read, [check], max_quarantined=0.5))
    rows = result.manifest.rows
    assert rows.as_json() == {"in": 10, "kept": 8, "dropped": 0, "quarantined": 2, "derived": 0}
    bad = [r for r in read_ledger(tmp_path / "out") if r["fate"] == "quarantined"]
    assert [(r["file"], r["id"], r["where"], r["op"]) for r in bad] == [
        ("cat/cut.jpg", "cat/cut.jpg", "the file", "image_check"),
        ("dog/empty.jpg", "dog/empty.jpg", "the file", "read"),
    ]
    assert "zero bytes" in bad[1]["error"]
