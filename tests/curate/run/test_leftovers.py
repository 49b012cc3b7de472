"""What an interrupted run leaves is told, taken up, and can be cleaned away."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.cli import main
from curate.recipe.recipe import load_recipe
from curate.run.lock import owned
from curate.run.run import run_recipe
from pipelines.output import writer


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A function that runs a recipe with a step's option, until all but the output is made."""

    (tmp_path / "in.jsonl").write_text('{"text": "some words"}\n' * 3)

    def run(at_least: int, ends: bool = False) -> list[str]:
        recipe = {
            "name": "left",
            "read": {"format": "jsonl", "path": str(tmp_path / "in.jsonl")},
            "steps": [{"op": "exact_dedup"}, {"op": "word_count", "at_least": at_least}],
            "write": {"path": str(tmp_path / "out")},
        }
        (tmp_path / "r.yaml").write_text(json.dumps(recipe))
        said: list[str] = []
        with monkeypatch.context() as patch:
            if not ends:
                patch.setattr(writer, "_write_data", lambda *_: 1 / 0)
            with nullcontext() if ends else pytest.raises(Exception, match="division by zero"):
                run_recipe(load_recipe(tmp_path / "r.yaml"), say=said.append)
        return said

    return run


def folders(tmp_path: Path) -> list[str]:
    return sorted(str(path) for path in tmp_path.glob(".out.work-*"))


def test_a_rerun_says_what_it_takes_up_and_what_others_left(interrupted, tmp_path):
    assert interrupted(1) == []
    again = "taking up an interrupted run: reuses 1 working shard as read, 1 as left by later"
    assert [said[: len(again)] for said in interrupted(1)] == [again]
    (first,) = folders(tmp_path)
    (left,) = interrupted(2)
    assert left.startswith("1 work folder of other recipes or inputs beside the output (")
    assert f"`curate clean {tmp_path / 'out'}`" in left
    assert len(interrupted(2, ends=True)) == 2
    assert folders(tmp_path) == [first]  # its own is gone, that of the other stays
    assert (tmp_path / "out/README.md").exists()


def test_clean_removes_what_was_left_and_nothing_else(interrupted, tmp_path):
    def clean(*options: str) -> str:
        return CliRunner().invoke(main, ["clean", str(tmp_path / "out"), *options]).output

    interrupted(1)
    interrupted(2, ends=True)
    (left,) = folders(tmp_path)
    assert clean("--dry-run").startswith(f"would remove  {left}  0.0 MB")
    assert folders(tmp_path) == [left]
    assert clean().startswith(f"remove  {left}")
    assert folders(tmp_path) == []
    assert clean() == f"no work folders beside {tmp_path / 'out'}\n"
    assert (tmp_path / "out/train").is_dir()


def test_clean_waits_for_no_run_and_disturbs_none(interrupted, tmp_path):
    interrupted(1)
    with owned(str(tmp_path / "out")):
        done = CliRunner().invoke(main, ["clean", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "is being written by another run" in done.output
    assert len(folders(tmp_path)) == 1
