import json

import pytest

from training.plan import IMAGE, TEXT, Plan, code_hash, recipe_for, remember_plan, write_plan


def plan(**changes):
    fields = {
        "code": "c", "versions": {"torch": "2"},
        "task": "text_classification", "profile": "cpu", "metric": "accuracy", "delta": 0.01,
        "arms": ["raw", "curated", "aa"], "left_out": {}, "seeds": [0, 1, 2], "steps": 100,
        "recipe": TEXT, "data": {"raw": "1"}, "rows": {"raw": 10}, "mde_before": 0.02,
    }  # fmt: skip
    return Plan(**{**fields, **changes})


def test_hash_names_the_whole_plan():
    assert plan().hash == "ea4e0cfd0f7f7a439da2e4e256992a96187822799481258cfe9df8ab2ee97e9d"
    assert plan().hash != plan(delta=0.02).hash
    assert plan().hash != plan(recipe=TEXT.model_copy(update={"rate": 1.0})).hash


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


@pytest.mark.parametrize("recipe", [TEXT, IMAGE])
def test_steps_follow_the_size_of_raw_within_bounds(recipe):
    assert recipe.steps(1) == recipe.least_steps
    assert recipe.steps(10**9) == recipe.most_steps
    assert recipe.steps(10_000) == round(recipe.passes * 10_000 / recipe.batch)


def test_smoke_is_short():
    assert recipe_for("text_classification", "smoke", None).steps(10**6) == 50
