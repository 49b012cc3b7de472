import io
from dataclasses import replace

import pytest
from rich.console import Console

from curate.prove import prove_progress
from curate.prove.prove_progress import Lines, Live, duration, planned_runs, remaining, standing
from training.design.plan import ProofPlan, save_json
from training.recipes import RECIPES
from training.runs.progress import Progress

NOW = Progress(12, 121, "raw, seed 2", 60.0, 545.0, 0.013, (-0.002, 0.028), "accuracy")


@pytest.fixture
def planned(tmp_path):
    """A folder with a plan as `training.prove` writes it before the first run."""
    plan = ProofPlan(
        code="c",
        versions={},
        task="text_classification",
        profile="cpu",
        model="linear",
        metric="accuracy",
        delta=0.01,
        arms=["raw", "curated", "aa", "without:1.word_count", "random@without:1.word_count"],
        left_out={},
        tests=["test"],
        seeds=[0, 1, 2],
        shares=[0.5, 0.25],
        rates=[0.5, 2.0],
        budgets=[],
        steps=300,
        steps_asked=None,
        budget_bytes=None,
        recipes={"": RECIPES["linear"]},
        processes=1,
        data={},
        rows={},
        mde_before=0.013,
    )
    save_json(tmp_path / "plan.json", plan.model_dump(mode="json"))
    return tmp_path, plan


def test_plan_says_runs_and_power(planned):
    folder, plan = planned
    runs, power = planned_runs(folder)
    assert runs == (
        "plan    5 arms × 3 seeds + 12 at 2 smaller sizes + 12 at 2 other learning rates = 39 runs "
        "of linear; arms: raw, curated, aa and 2 that judge single steps"
    )
    assert "expected to find a gap of 1.3 points with 80 % power" in power
    assert "smallest that matters is 1.0 points: exploratory" in power
    enough = plan.model_copy(update={"mde_before": 0.009})
    save_json(folder / "plan.json", enough.model_dump(mode="json"))
    assert planned_runs(folder)[1].endswith("enough for a claim")


def test_standing_says_on_which_rows_the_estimate_is_made():
    assert standing(NOW) == (
        "12 of 121 runs; about 9 min to go; curated − raw so far +1.3 points "
        "(95 % CI −0.2 to +2.8) on validation rows, not the test"
    )
    assert standing(replace(NOW, left=None, estimate=None)) == "12 of 121 runs"
    assert "CI" not in standing(replace(NOW, ci95=None))
    assert remaining(replace(NOW, done=121)) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (3_600, "60 min"), (9_000, "2 h 30 min")],
)
def test_duration_is_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_lines_come_at_intervals_and_at_the_end(planned, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(prove_progress.time, "monotonic", lambda: clock[0])
    said = []
    lines = Lines(said.append)
    lines.tell("reading")
    lines.plan_in(planned[0])
    for done in range(122):
        lines.runs(replace(NOW, done=done))
        clock[0] += 1.0
    assert said[0] == "reading"
    assert [line.split()[0] for line in said[1:3]] == ["plan", "power"]
    counts = [int(line.split()[0]) for line in said[3:]]
    assert counts == [*range(0, 121, 10), 121]


def test_live_shows_plan_once_and_bar(planned):
    console = Console(file=io.StringIO(), width=100)
    shown = []
    live = Live(console, shown.append)
    live.tell("reading")
    live.plan_in(planned[0])
    live.runs(NOW)
    live.runs(replace(NOW, done=13))
    assert console.file.getvalue().count("expected to find") == 1
    console.print(shown[-1])
    said = console.file.getvalue()
    assert "13/121 runs" in said
    assert "about 9 min to go" in said
    assert "not the test" in said
