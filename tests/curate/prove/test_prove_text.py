import io

import numpy as np
import pytest
from rich.console import Console

from curate.prove.prove_text import print_result
from training import compare_scores
from training.result.result import Facts, Multiplier, StepWorth


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    right = {"raw": 0.60, "curated": 0.70, "random@n": 0.59, "aa": 0.60, "without:1.x": 0.65}
    scores = {arm: rng.random((5, 2_000)) < share for arm, share in right.items()}
    found = compare_scores(
        {arm: table.astype(float) for arm, table in scores.items()},
        baseline=np.zeros(2_000),
        delta=0.01,
        metric="accuracy",
        facts=Facts(n={"raw": 1_000, "curated": 700}),
    )
    step = StepWorth(
        step="1.x",
        dropped=3,
        without=None,
        without_net=None,
        only=None,
        only_net=None,
        verdict="earns its keep",
        says="Leaving it out costs 5 points.",
    )
    return found.model_copy(update={"attribution": [step]})


def printed(result, place):
    console = Console(file=io.StringIO(), width=80)
    print_result(result, place, console)
    return console.file.getvalue()


def test_result_prints_arms_steps_and_guards(result, tmp_path):
    said = printed(result, tmp_path)
    lines = said.splitlines()
    assert lines[1].split()[:2] == ["curated", "700"]
    assert not any(line.startswith("without:") for line in lines)
    assert "step 1.x: Leaving it out costs 5 points." in lines
    failed = [guard for guard in result.guards if not guard.passed]
    assert all(guard.detail in said for guard in failed)


def test_result_prints_files_that_are_there(result, tmp_path):
    (tmp_path / "report.html").write_text("x")
    said = printed(result, tmp_path)
    assert f"report  {tmp_path / 'report.html'}" in said
    assert "MODEL_CARD.md" not in said


def test_result_prints_multipliers(result, tmp_path):
    from training.result.result import LearningCurve

    worth = Multiplier.model_construct(says="Worth 1.5 times the rows.")
    curve = LearningCurve.model_construct(multipliers=[worth])
    said = printed(result.model_copy(update={"curve": curve}), tmp_path)
    assert "Worth 1.5 times the rows." in said.splitlines()
