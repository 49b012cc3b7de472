import json
from typing import Literal

import pytest
from made_run import make_manifest

from curate.prove.attribution import is_made, make_variants, plan_variants
from curate.recipe.recipe import Recipe, Write
from curate.run.run import run_recipe
from pipelines.ledger.counts import StepCounts
from pipelines.readers.read_plan import make_plan
from pipelines.steps import STEPS
from pipelines.steps.step import Filter

MADE = {
    "normalize_text": {},
    "word_count": {"at_least": 3},
    "exact_dedup": {},
    "embed": {},
    "drop_label_errors": {},
    "drop_columns": {"columns": ["_embedding"]},
    "split": {},
    "char_count": {"at_least": 1},
}


def steps(*ops):
    return tuple(STEPS[op].model_validate({"op": op, **MADE[op]}) for op in ops)


def counted(*dropped):
    return [
        StepCounts(step=i, op="x", entered=9, kept=9 - n, dropped=n, quarantined=0)
        for i, n in enumerate(dropped)
    ]


def ops(variants):
    return {name: [step.op for step in steps] for name, steps in variants.steps.items()}


QUICK = ("normalize_text", "word_count", "embed", "drop_label_errors", "drop_columns", "split")


def test_variants_judge_what_changes_rows():
    found = plan_variants(steps(*QUICK), counted(0, 5, 0, 7, 0, 0))
    assert ops(found) == {
        "without:1.normalize_text": list(QUICK[1:]),
        "only:1.normalize_text": ["normalize_text"],
        "without:2.word_count": [op for op in QUICK if op != "word_count"],
        "only:2.word_count": ["word_count"],
        "without:4.drop_label_errors": [op for op in QUICK if op != "drop_label_errors"],
        "only:4.drop_label_errors": ["embed", "drop_label_errors"],
    }
    assert {name: why.split()[-1] for name, why in found.left_out.items()} == {
        "3.embed": "read",
        "5.drop_columns": "reads",
        "6.split": "none",
    }


def test_variants_leave_out_what_changed_no_row():
    found = plan_variants(steps("word_count", "exact_dedup", "char_count"), counted(4, 6, 0))
    assert set(ops(found)) == {
        f"{kind}:{step}"
        for kind in ("without", "only")
        for step in ("1.word_count", "2.exact_dedup")
    }
    assert found.left_out == {"3.char_count": "it changed no row"}


def test_variants_of_a_single_judged_step_are_none():
    found = plan_variants(steps("word_count", "split"), counted(4, 0))
    assert found.steps == {}
    assert found.left_out["1.word_count"].startswith("no other step changes a row")


class Tag(Filter):
    """Drops some rows and adds a column to the others."""

    op: Literal["tag"] = "tag"

    def adds(self):
        return ("kind",)

    def judge(self, rows, chance):
        raise NotImplementedError("only planned with")


def test_variants_keep_a_step_that_others_read():
    sample = STEPS["sample"].model_validate({"op": "sample", "fraction": 0.5, "by": "kind"})
    found = plan_variants((Tag(), sample, *steps("word_count")), counted(1, 1, 1))
    assert "without:1.tag" not in found.steps
    assert found.left_out == {"without:1.tag": "2.sample reads a column it adds"}
    assert ops(found)["only:2.sample"] == ["tag", "sample"]


def test_variants_drop_columns_only_where_they_are_added():
    dropped = STEPS["drop_columns"].model_validate(
        {"op": "drop_columns", "columns": ["kind", "other"]}
    )
    found = plan_variants((Tag(), *steps("word_count"), dropped), counted(1, 1, 0))
    assert found.steps["without:1.tag"][-1].columns == ("other",)


@pytest.fixture
def ran(tmp_path):
    """A recipe of two steps that has run."""
    rows = [{"text": f"row {i // 2} with some words"} for i in range(20)] + [{"text": "short"}] * 3
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = Recipe(
        name="r",
        read={"format": "jsonl", "path": str(tmp_path / "in.jsonl")},
        steps=steps("word_count", "exact_dedup", "split"),
        write=Write(path=str(tmp_path / "out")),
    )
    return recipe, run_recipe(recipe, workers=1).manifest


def test_variants_are_run_and_used_again(ran, tmp_path):
    recipe, manifest = ran
    said = []
    made, left_out = make_variants(recipe, manifest, tmp_path / "v", tell=said.append)
    kept = {}
    for name, out in made.items():
        kept[name] = json.loads((out / "_curate/manifest.json").read_bytes())["rows"]["kept"]
    assert kept == {
        "without:1.word_count": 11,
        "only:1.word_count": 20,
        "without:2.exact_dedup": 20,
        "only:2.exact_dedup": 11,
    }
    assert left_out == {"3.split": "it sets rows aside and judges none"}
    assert len(said) == 4
    again, _ = make_variants(recipe, manifest, tmp_path / "v", tell=said.append)
    assert (again, len(said)) == (made, 4)
    assert not (tmp_path / "v/cache").exists()


def test_variant_of_another_recipe_or_input_is_not_used(ran, tmp_path):
    recipe, _ = ran
    fingerprint = make_plan(recipe.read).fingerprint
    assert is_made(recipe, tmp_path / "out", fingerprint)
    assert not is_made(recipe, tmp_path / "out", "other")
    assert not is_made(recipe.model_copy(update={"seed": 1}), tmp_path / "out", fingerprint)
    assert not is_made(recipe, tmp_path / "nowhere", fingerprint)


def test_variant_that_leaves_no_row_is_left_out(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "a b c d"}\n')
    long = STEPS["char_count"].model_validate({"op": "char_count", "at_least": 2})
    upper = STEPS["word_count"].model_validate({"op": "word_count", "at_least": 9})
    recipe = Recipe(
        name="r",
        read={"format": "jsonl", "path": str(tmp_path / "in.jsonl")},
        steps=(long, upper),
        write=Write(path=str(tmp_path / "out")),
    )
    manifest = make_manifest(steps=counted(0, 1, 1))
    made, left_out = make_variants(recipe, manifest, tmp_path / "v", tell=print)
    assert set(made) == {"without:2.word_count", "only:1.char_count"}
    assert all("no row is left" in why for why in left_out.values())
    assert set(left_out) == {"without:1.char_count", "only:2.word_count"}
