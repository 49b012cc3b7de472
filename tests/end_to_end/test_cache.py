"""Runs on the same input share what they have in common, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.run.run import run_recipe
from pipelines.engine import segment_run
from pipelines.steps import STEPS

Make = Callable[..., Any]
NEAR = STEPS["near_dedup"]


@pytest.fixture
def source(lines: Make) -> dict[str, Any]:
    """Two files, of which the texts of the second are .86 like those of the first."""
    for name, changed in (("a", 0), ("b", 8)):
        texts = [" ".join(f"w{i}x{j}" for j in range(60 - changed)) for i in range(10)]
        path = lines(f"in/{name}.jsonl", [{"text": text} for text in texts])
    return {"format": "jsonl", "path": str(path.parent)}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run of segments and signed, in order."""
    done: list[str] = []
    run, sign = segment_run.SegmentRun._run, segment_run.SegmentRun.sign

    def counted_run(self: segment_run.SegmentRun, *args: Any) -> Any:
        done.append(f"run {self.segment.index}")
        return run(self, *args)

    def counted_sign(self: segment_run.SegmentRun, *args: Any) -> Any:
        done.append("sign")
        return sign(self, *args)

    monkeypatch.setattr(segment_run.SegmentRun, "_run", counted_run)
    monkeypatch.setattr(segment_run.SegmentRun, "sign", counted_sign)
    return done


def test_another_threshold_signs_nothing_again(
    recipe: Make, source: dict[str, Any], work: list[str], tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")

    def run(similarity: float, shingle: int = 5, **options: Any) -> dict[str, Any]:
        work.clear()
        steps = [STEPS["normalize_text"](), NEAR(similarity=similarity, shingle=shingle)]
        manifest = run_recipe(recipe(source, steps), overwrite=True, **options).manifest.as_json()
        return {name: manifest[name] for name in ("rows", "shards", "ledger")}

    first = run(0.9, cache=cache)
    assert "sign" in work
    second = run(0.8, cache=cache)
    assert set(work) == {"run 1"}
    assert second["rows"]["kept"] < first["rows"]["kept"]
    assert run(0.9, cache=cache) == first
    assert work == []  # even the last segment is there
    run(0.9, shingle=3, cache=cache)
    assert "sign" in work
    assert run(0.8) == second
    assert "sign" in work


def test_cache_holds_for_one_input_only(
    recipe: Make, source: dict[str, Any], work: list[str], lines: Make, tmp_path: Path
) -> None:
    given = recipe(source, [NEAR()], run={"cache": str(tmp_path / "cache")})
    before = run_recipe(given).manifest.rows.entered
    lines("in/d.jsonl", [{"text": "one more"}])
    work.clear()
    assert run_recipe(given, overwrite=True).manifest.rows.entered == before + 1
    assert "sign" in work


def test_cache_serves_recipes_that_name_other_columns(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    lines("in/a.jsonl", [{"text": "one", "score": 1}])
    path = lines("in/b.jsonl", [{"text": "two"}]).parent
    read, cache = {"format": "jsonl", "path": str(path)}, str(tmp_path / "cache")
    first = {"op": "exact_dedup"}
    run_recipe(recipe(read, [first]), cache=cache, workers=2)
    wrong = recipe(read, [first, {"op": "select_top", "by": "scroe", "rows": 9}])
    with pytest.raises(ValueError, match="did you mean 'score'"):
        run_recipe(wrong, cache=cache, overwrite=True, workers=2)
    given = recipe(read, [first, {"op": "select_top", "by": "score", "rows": 9}])
    made = run_recipe(given, cache=cache, overwrite=True, workers=2)
    assert made.manifest.rows.kept == 2
