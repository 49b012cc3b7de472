import json

import pytest

from training.design.plan import ProofPlan, TrainingJob, code_hash, remember_plan, write_plan
from training.recipes import MODELS, RECIPES, recipe_for

TEXT = RECIPES["linear"]


def plan(**changes):
    fields = {
        "code": "c", "versions": {"torch": "2"},
        "task": "text_classification", "profile": "cpu", "model": "linear", "metric": "accuracy",
        "delta": 0.01, "arms": ["raw", "curated", "aa"], "left_out": {}, "tests": ["test"],
        "seeds": [0, 1, 2], "shares": [], "rates": [], "budgets": [], "steps": 100,
        "steps_asked": None, "budget_bytes": None, "recipes": {"": TEXT}, "processes": 1,
        "data": {"raw": "1"}, "rows": {"raw": 10}, "mde_before": 0.02,
    }  # fmt: skip
    return ProofPlan(**{**fields, **changes})


def test_hash_names_the_whole_plan():
    assert len(plan().hash) == 64
    assert plan().hash == plan().hash
    assert plan().hash != plan(delta=0.02).hash
    assert plan().hash != plan(recipes={"": TEXT.model_copy(update={"rate": 1.0})}).hash


@pytest.mark.parametrize("change", [{"code": "d"}, {"versions": {"torch": "3"}}])
def test_other_code_is_another_plan(tmp_path, change):
    assert write_plan(plan(**change), tmp_path) is None
    remember_plan(plan(), tmp_path)
    changed = write_plan(plan(**change), tmp_path)
    assert changed == f"the plan changed after runs had finished: {next(iter(change))}"


def test_code_hash_covers_every_source(tmp_path):
    seen = set()
    for name, source in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("notes.txt", "2")):
        (tmp_path / name).write_text(source)
        code_hash.cache_clear()
        seen.add(code_hash(tmp_path))
    assert len(seen) == 3


def test_another_plan_is_no_change_while_nothing_ran(tmp_path):
    assert write_plan(plan(), tmp_path) is None
    assert write_plan(plan(delta=0.02), tmp_path) is None
    assert json.loads((tmp_path / "plan.json").read_text())["delta"] == 0.02


def test_another_plan_after_a_run_is_a_change_even_on_the_way_back(tmp_path):
    write_plan(plan(), tmp_path)
    remember_plan(plan(), tmp_path)
    assert write_plan(plan(), tmp_path) is None
    changed = write_plan(plan(delta=0.02, steps=50), tmp_path)
    assert changed == "the plan changed after runs had finished: delta, steps"
    remember_plan(plan(delta=0.02, steps=50), tmp_path)
    assert write_plan(plan(), tmp_path) is not None


@pytest.mark.parametrize("recipe", [TEXT, RECIPES["cnn"]])
def test_steps_follow_the_size_of_raw_within_bounds(recipe):
    assert recipe.steps(1) == recipe.least_steps
    assert recipe.steps(10**9) == recipe.most_steps
    assert recipe.steps(10_000) == round(recipe.passes * 10_000 / recipe.batch)


def test_smoke_is_short():
    assert recipe_for("text_classification", "smoke", None, {}).steps(10**6) == 50


def test_every_model_of_every_task_has_a_recipe():
    for task, models in MODELS.items():
        for model in models:
            assert recipe_for(task, "cpu", model, {}).model == model


def test_a_model_of_another_task_is_explained():
    with pytest.raises(ValueError, match="model: 'cnn' given; text_classification allows linear"):
        recipe_for("text_classification", "cpu", "cnn", {})


def test_jobs_start_with_whole_pairs_and_never_repeat():
    found = plan(shares=[0.5, 0.25], rates=[0.5], budgets=[0.5], seeds=list(range(7))).jobs()
    assert [(job.arm, job.seed) for job in found[:6]] == [
        ("raw", 0), ("curated", 0), ("aa", 0), ("raw", 1), ("curated", 1), ("aa", 1),
    ]  # fmt: skip
    assert len(set(found)) == len(found) == 7 * 3 + 5 * 2 * 2 + 3 * 2 + 5 * 2
    assert len({job.name for job in found}) == len(found)


def test_curves_take_the_arms_that_see_each_row_equally_often():
    assert plan().curve_arms == ("raw", "curated")
    arms = ["raw", "curated", "aa", "curated@epochs"]
    assert plan(arms=arms).curve_arms == ("raw", "curated@epochs")
    assert TrainingJob("curated@epochs", 1, share=0.5) in plan(arms=arms, shares=[0.5]).jobs()


def test_a_job_is_named_by_its_conditions():
    assert TrainingJob("raw", 3).name == "raw-3"
    assert TrainingJob("raw", 3, share=0.25, rate=2.0).name == "raw-3-share=0.25-rate=2"
    assert TrainingJob("raw", 3, share=0.25).in_words() == "raw, seed 3, 0.25 of the rows"
    assert TrainingJob("raw", 3, rate=2.0).in_words() == "raw, seed 3, 2 × the learning rate"
