import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner

from curate.cli import main

RECIPE = """\
name: web
read: {format: jsonl, path: data.jsonl}
write: {path: out}
prove: {task: text_classification, test: t.jsonl, options: {batch: 32}}
"""


@pytest.fixture
def proved(tmp_path, monkeypatch):
    """Put recorders in the place of the proof; returns what they were called with."""
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    made = []
    proof = SimpleNamespace(supported=True, verdict="better", result=None, place=None)
    fake, text = ModuleType("curate.prove.prove"), ModuleType("curate.prove.prove_text")

    def prove_recipe(recipe, *, cache, display):
        made.append({"recipe": recipe, "cache": cache})
        return proof

    def prove_directories(*, display, **given):
        made.append(given)
        return proof

    fake.prove_recipe, fake.prove_directories = prove_recipe, prove_directories
    text.print_result = lambda result, place, console: None
    monkeypatch.setitem(sys.modules, "curate.prove.prove", fake)
    monkeypatch.setitem(sys.modules, "curate.prove.prove_text", text)
    return SimpleNamespace(made=made, proof=proof)


def call(line):
    return CliRunner().invoke(main, line.split())


def test_prove_flags_override_the_section(proved):
    line = (
        "prove r.yaml --seeds 10 --attribution --profile gpu --processes 8 --rates 0.25,4 "
        "--also warm --option rate=0.5 --option compile=true --tests clean=c.jsonl --cache there"
    )
    assert call(line).exit_code == 0
    (made,) = proved.made
    asked = made["recipe"].prove
    assert (asked.seeds, asked.attribution, asked.profile, asked.processes) == (10, True, "gpu", 8)
    assert (asked.rates, asked.also) == ((0.25, 4.0), ("warm",))
    assert asked.options == {"batch": 32, "rate": 0.5, "compile": True}
    assert asked.tests == {"clean": "c.jsonl"}
    assert made["cache"] == "there"


def test_prove_no_flag_turns_off_what_the_section_asks(proved):
    Path("r.yaml").write_text(RECIPE.replace("options", "attribution: true, options"))
    assert call("prove r.yaml").exit_code == 0
    assert call("prove r.yaml --no-attribution --rates ,").exit_code == 0
    assert [made["recipe"].prove.attribution for made in proved.made] == [True, False]
    assert proved.made[1]["recipe"].prove.rates == ()


def test_prove_takes_two_datasets_alone(proved):
    assert call("prove --raw a --curated b.csv").exit_code == 0
    assert call("prove --raw a --curated b --out o --option rate=1 --label stars").exit_code == 0
    assert proved.made == [
        {"raw": "a", "curated": "b.csv"},
        {"raw": "a", "curated": "b", "out": Path("o"), "options": {"rate": 1}, "label": "stars"},
    ]


def test_prove_prints_the_sentence_last_and_exits_with_3(proved):
    proved.proof.supported, proved.proof.verdict = False, "no gap"
    result = call("prove r.yaml")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (3, "no gap")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prove --curated b", "give a RECIPE, or also --raw"),
        ("prove --raw a --curated b --attribution", "--attribution needs a RECIPE"),
        ("prove --raw a --curated b --cache c", "--cache needs a RECIPE"),
        ("prove --raw a --curated b --set seed=1", "--set needs a RECIPE"),
        ("prove r.yaml --out o", "--out goes without a RECIPE"),
        ("prove r.yaml --cache c", "--cache goes with --attribution"),
        ("prove r.yaml --rates fast", "--rates 'fast': write numbers"),
        ("prove r.yaml --option rate", "--option 'rate': write NAME=VALUE"),
        ("prove r.yaml --tests a.b=c", "--tests 'a.b=c': write NAME=VALUE"),
        ("prove r.yaml --model cnn", "--set prove.model: text_classification trains one of"),
    ],
)
def test_prove_refuses_what_makes_no_sense(proved, line, said):
    result = call(line)
    assert (result.exit_code, proved.made) == (2, [])
    assert said in result.stderr


def test_prove_offers_the_tasks_that_training_knows():
    from typing import get_args

    from curate.prove.prove_command import TASKS
    from training.recipes import Task

    assert get_args(Task) == TASKS
