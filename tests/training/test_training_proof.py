import json
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from tiny_datasets import run_texts

import training
from training.design.design import SKIPPABLE
from training.recipes import RECIPES
from training.result.result import Result
from training.verdict.compare import compare_scores
from training.verdict.verdict import sentence

WHOLE = {"sizes": 3, "rates": (0.5, 2.0), "skip": ()}
RUNS = 3 * 10 + 3 * 2 * 3 + 3 * 2 * 2 + 3 * 2 * 2
"""Arms, two smaller sizes of three arms, two budgets and two rates of raw and curated."""
PROMISED = {
    "verdict", "supported", "sentence", "gap", "ci95", "p", "metric", "arms", "runs", "guards",
    "mde", "delta", "equal_epoch", "baseline", "leak", "class_shift", "cost", "versions",
    "plan_hash", "notes", "exploratory",
}  # fmt: skip


@pytest.fixture(scope="module")
def result(proven):
    return Result.load(proven / "result.json")


def test_cleaned_labels_are_better(result):
    assert result.verdict == "better"
    assert result.supported
    assert result.gap > 0.02
    assert all(guard.passed for guard in result.guards if guard.if_failed != "exploratory")
    assert result.equal_epoch.gap > 0
    assert "synthetic" in result.sentence


def test_result_json_holds_what_was_promised(proven):
    found = json.loads((proven / "result.json").read_text())
    assert not PROMISED - set(found)
    assert found["plan_hash"] == json.loads((proven / "plan.json").read_text())["hash"]
    assert found["sentence"] == sentence(Result.model_validate(found))
    assert {arm["name"] for arm in found["arms"]} == {
        "raw", "curated", "random@n", "random@bytes", "random@n,class", "scrambled", "rs2@n",
        "anti", "aa", "curated@epochs",
    }  # fmt: skip
    assert all(len(arm["scores"]) == 3 for arm in found["arms"])
    assert not (proven / "cache").exists()


def test_anyone_can_recompute_the_gap_from_the_stored_scores(proven, result):
    scores = {
        arm.name: np.stack(
            [np.load(proven / "runs" / f"{arm.name}-{seed}.npz")["test"] for seed in range(3)]
        )
        for arm in result.arms
    }
    again = compare_scores(scores, baseline=np.zeros(result.test_rows), delta=result.delta)
    assert again.gap == pytest.approx(result.gap, abs=1e-12)
    assert again.ci95 == pytest.approx(result.ci95, abs=1e-12)


def test_finished_runs_are_reused_and_the_rest_repeats_exactly(proven, texts, result):
    before = {path: path.stat().st_mtime_ns for path in (proven / "runs").glob("*.json")}
    lost = proven / "runs" / "curated-1.json"
    lost.unlink()
    seen = []
    again = run_texts(texts, "clean", proven, progress=seen.append, **WHOLE)
    assert [arm.scores for arm in again.arms] == [arm.scores for arm in result.arms]
    assert again.verdict == "better"
    assert again.guards == result.guards
    assert next(guard for guard in again.guards if guard.name == "plan").passed
    after = {path: path.stat().st_mtime_ns for path in (proven / "runs").glob("*.json")}
    assert {path for path in after if after[path] != before[path]} == {lost}
    assert (seen[-1].done, seen[-1].total, seen[-1].what) == (RUNS, RUNS, "curated, seed 1")
    assert seen[-1].left == 0


def test_a_random_half_is_not_supported(texts, tmp_path):
    found = run_texts(texts, "half", tmp_path, workers=2)
    assert found.verdict != "better"
    assert not found.supported
    assert any("explained by size" in refusal.lower() for refusal in found.refusals)


def test_a_changed_plan_is_exploratory(texts, tmp_path):
    changes = {"workers": 1, "steps": 20}
    run_texts(texts, "clean", tmp_path, **changes)
    found = run_texts(texts, "clean", tmp_path, **changes, smallest_effect=0.03)
    assert found.exploratory
    assert not found.supported
    assert "The plan changed after runs had finished: delta." in found.refusals


def test_other_data_in_the_same_place_is_a_changed_plan(texts, tmp_path):
    changes = {"workers": 1, "steps": 20}
    run_texts(texts, "clean", tmp_path, **changes)
    found = run_texts(texts, "half", tmp_path, **changes)
    assert found.exploratory
    assert "The plan changed after runs had finished: data, rows." in found.refusals


def test_what_libraries_print_is_not_taken_for_an_answer(texts, tmp_path, monkeypatch, capfd):
    banner = """
        import os, sys
        class Banner:
            def find_spec(self, name, path=None, target=None):
                if name == "torch":
                    print("Welcome to torch")
                    os.write(1, b"{}\\n")
        sys.meta_path.insert(0, Banner())
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(banner))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = run_texts(texts, "clean", tmp_path / "out", steps=5, workers=1)
    assert len(found.runs) == 3 * 8
    assert "Welcome to torch" in capfd.readouterr().err


def test_cost_says_what_is_known_of_outside_data(proven, texts, tmp_path):
    result = Result.load(proven / "result.json")
    assert result.cost["external_data"] is None
    assert "not on record" in (proven / "report.html").read_text()
    shutil.copytree(texts / "clean", tmp_path / "clean")
    (tmp_path / "clean" / "_curate").mkdir()
    (tmp_path / "clean" / "_curate" / "manifest.json").write_text('{"seconds": 1.5}')
    found = run_texts(texts, tmp_path / "clean", tmp_path / "out", steps=5)
    assert found.cost["external_data"] == "none declared"
    assert found.cost["curate_seconds"] == 1.5


def test_raw_against_itself_is_equivalent(texts, tmp_path):
    found = run_texts(texts, "raw", tmp_path)
    assert found.verdict == "equivalent within ±0.02"
    assert found.gap == 0
    assert "random@n" in found.left_out


@pytest.mark.slow
def test_images_with_cleaned_labels_are_better(images, tmp_path):
    found = training.prove(
        raw=images / "raw",
        curated=images / "clean",
        test=images / "test",
        task="image_classification",
        out=tmp_path,
        seeds=5,
        steps=100,
        sizes=0,
        rates=(),
        skip=SKIPPABLE,
    )
    assert found.verdict == "better"
    assert found.runs[0]["n_seen"] == 100 * RECIPES["cnn"].batch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 2}, "seeds: 2 given; at least 3"),
        ({"task": "regression"}, "task: 'regression' given; allowed: text_classification"),
        ({"profile": "fast"}, "profile: 'fast' given; allowed: smoke, cpu, gpu"),
        ({"steps": 0}, "steps: 0 given"),
        ({"smallest_effect": 1}, "smallest_effect: 1 given"),
    ],
)
def test_bad_arguments_are_explained_before_anything_runs(texts, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run_texts(texts, "clean", tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_a_failing_worker_is_an_error_with_its_traceback(texts, tmp_path):
    (tmp_path / "runs" / "raw-0.tmp.npz").mkdir(parents=True)
    with pytest.raises(RuntimeError, match=r"run raw, seed 0 failed:\nTraceback"):
        run_texts(texts, "clean", tmp_path, steps=5, workers=1)


def test_importing_is_cheap():
    code = (
        "import sys, training; assert 'numpy' not in sys.modules; training.prove; "
        "training.report_fragment; training.compare_scores; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_report_and_fragment_stand_alone(proven, result):
    page = (proven / "report.html").read_text()
    fragment = training.report_fragment(proven / "result.json")
    for html in (page, fragment):
        assert "<script" not in html
        assert "http:" not in html
        assert "https:" not in html
        assert "better" in html
        assert html.count("<svg") >= 1
    assert fragment.lstrip().startswith("<section")


def test_report_escapes_what_users_write(proven, result, tmp_path):
    nasty = result.model_copy(update={"notes": ["<b>bold</b>"]})
    (tmp_path / "result.json").write_text(nasty.model_dump_json())
    fragment = training.report_fragment(tmp_path / "result.json")
    assert "<b>bold" not in fragment
    assert "&lt;b&gt;bold" in fragment
