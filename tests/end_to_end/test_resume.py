"""A run that was cut off is taken up where it stopped, and ends as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_memory import run_job

from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.engine import segment_run
from pipelines.ledger.counts import StepCounts
from pipelines.output import writer
from pipelines.rows import MissingColumn, Rows
from pipelines.rows.chance import Chance
from pipelines.steps import STEPS
from pipelines.steps.step import Map

Make = Callable[..., Any]


class Fuse(Map):
    """Stops the run at a certain text while a file is there."""

    op: str = "fuse"
    lit: str
    at: str

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows as they are."""
        if Path(self.lit).exists() and self.at in rows.text.to_pylist():
            raise MissingColumn("the fuse is lit")
        return rows


@pytest.fixture
def source(lines: Make) -> Any:
    """Three files of texts with duplicates among them."""
    for name in "abc":
        lines(f"in/{name}.jsonl", [{"text": f"row {i} {name * (i % 3)}"} for i in range(30)])
    path = lines("in/d.jsonl.gz", [{"text": f"row {i} of d {i * i}"} for i in range(200)]).parent
    return {"format": "jsonl", "path": str(path)}


def test_finished_segments_are_not_computed_again(
    source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Make
) -> None:
    read = recipe(source).read
    fuse = tmp_path / "lit"
    steps = (
        STEPS["exact_dedup"](),
        STEPS["normalize_text"](lowercase=True),
        Fuse(lit=str(fuse), at="row 20 cc"),
        STEPS["near_dedup"](shingle=1),
        STEPS["augment_text"](method="swap_words"),
    )
    ran: list[tuple[int, int]] = []
    made = segment_run.SegmentRun._run

    def counted(self: segment_run.SegmentRun, *args: Any) -> Any:
        ran.append((self.segment.index, self.number))
        return made(self, *args)

    monkeypatch.setattr(segment_run.SegmentRun, "_run", counted)
    monkeypatch.setattr("pipelines.engine.spool.SPOOL_BYTES", 500)
    for name in ("work", "undisturbed"):
        (tmp_path / name).mkdir()
    fuse.touch()
    with pytest.raises(MissingColumn):
        run_job(tmp_path / "work", read, steps, target_bytes=300)
    done = {number for index, number in ran if index == 0}
    halfway = [number for index, number in ran if index == 1]
    assert len(done) > 5
    assert 1 < len(halfway) < len(done)

    fuse.unlink()
    ran.clear()
    spools = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("pieces.json")}
    assert spools
    outcome = run_job(tmp_path / "work", read, steps, target_bytes=300)
    assert {index for index, _ in ran} == {1, 2}
    again = {number for index, number in ran if index == 1}
    assert again == done - set(halfway[:-1])
    assert {path: path.stat().st_mtime_ns for path in spools} == spools
    undisturbed = run_job(tmp_path / "undisturbed", read, steps, target_bytes=300)
    assert outcome.digests == undisturbed.digests
    rows, figures = outcome.balance()
    wanted, wanted_figures = undisturbed.balance()
    assert rows == wanted
    assert [untimed(f) for f in figures] == [untimed(f) for f in wanted_figures]


def untimed(counts: StepCounts) -> StepCounts:
    """Leave out what a step cost, which is told only where it is worth a message."""
    return counts.model_copy(update={"seconds": 0, "shuffled": 0})


@pytest.mark.parametrize("dies_at", ["ledger", "shards"])
def test_a_run_that_died_while_writing_leaves_nothing_behind(
    source: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: Make,
    dies_at: str,
) -> None:
    given = recipe(source, [{"op": "exact_dedup"}], write={"shard_size": 1000})
    with monkeypatch.context() as patch:
        if dies_at == "shards":
            patch.setattr(writer, "rebatch", _dying(writer.rebatch))
        else:
            patch.setattr(writer, "fates_of", _raise)
        with pytest.raises(Exception, match="pulled the plug"):
            run_recipe(given)
    assert not (tmp_path / "out").exists()
    result = run_recipe(given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    named = {one.file for one in result.manifest.shards}
    assert named == {f"train/{path.name}" for path in (tmp_path / "out/train").glob("*.arrow*")}
    hidden = [p for p in (tmp_path / "out").rglob("*") if p.name.startswith(".") or "tmp" in p.name]
    assert hidden == []


def _dying(rebatch: Any) -> Any:
    def some(tables: Any) -> Any:
        yield next(rebatch(tables))
        _raise()

    return some


def _raise(*_: object) -> None:
    raise OSError("pulled the plug")


def test_a_killed_process_is_taken_up(recipe: Make, source: dict[str, Any], tmp_path: Path) -> None:
    steps = [{"op": "exact_dedup"}, {"op": "near_dedup"}, {"op": "split"}]
    given: Recipe = recipe(source, steps)
    file = tmp_path / "recipe.json"
    file.write_text(given.model_dump_json())
    # The process stops for good when it begins the second segment.
    code = f"""
import time
from pathlib import Path
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.engine import segment_run
def resume(self, verdicts, edits):
    Path({str(tmp_path / "ready")!r}).touch()
    time.sleep(60)
segment_run.SegmentRun.resume = resume
run_recipe(Recipe.model_validate_json(Path({str(file)!r}).read_text()))
"""
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "."})
    while not (tmp_path / "ready").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "out").exists()
    (work,) = [path for path in tmp_path.iterdir() if path.name.startswith(".out.work-")]
    first = {path: path.stat().st_mtime_ns for path in work.rglob("s0-*.json")}
    assert first

    seen: dict[Path, int] = {}

    def look(*_: object) -> None:
        seen.update({path: path.stat().st_mtime_ns for path in work.rglob("s0-*.json")})

    run_recipe(given, progress=look)
    assert seen == first
    assert not work.exists()
    manifest = json.loads((tmp_path / "out/_curate/manifest.json").read_text())
    other = given.model_copy(
        update={"write": given.write.model_copy(update={"path": str(tmp_path / "other")})}
    )
    wanted = run_recipe(other).manifest.as_json()
    assert manifest["shards"] == wanted["shards"]
    assert manifest["ledger"] == wanted["ledger"]
    assert manifest["rows"] == wanted["rows"]


def test_another_recipe_does_not_take_up_the_work(
    recipe: Make, source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(writer, "fates_of", _raise)
        with pytest.raises(Exception, match="pulled the plug"):
            run_recipe(recipe(source, [{"op": "word_count", "at_least": 100}]))
    result = run_recipe(recipe(source, [{"op": "word_count", "at_least": 3}]))
    assert result.manifest.rows.kept > 0
