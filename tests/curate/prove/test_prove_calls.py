"""What reaches `training.prove`, with that in a recorder's place."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import training
from curate.prove.prove import prove_directories, prove_recipe
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from training.proof import prove as real

ROWS = [{"body": f"text {i}", "kind": "ab"[i % 2], "true": "ab"[i % 2]} for i in range(30)]


@pytest.fixture
def called(monkeypatch):
    """Record calls, each checked against the real signature."""
    made = []

    def prove(**given):
        inspect.signature(real).bind(**given)
        made.append(given)
        return SimpleNamespace(supported=True, sentence="better by 1.0 points")

    monkeypatch.setattr(training, "prove", prove, raising=False)
    monkeypatch.setattr(training, "report_fragment", lambda path: "<p>fragment</p>", raising=False)
    return made


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("raw", "clean", "test", "more"):
        lines = "".join(json.dumps(row) + "\n" for row in ROWS)
        Path(f"{name}.jsonl").write_text(lines)
    return tmp_path


def test_recipe_hands_on_every_option(called, here):
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "read": {"format": "jsonl", "path": "raw.jsonl", "text": "body", "label": "kind"},
            "write": {"path": "out"},
            "notes": ("a note",),
            "prove": {
                "task": "text_classification",
                "test": "test.jsonl",
                "tests": {"more": "more.jsonl"},
                "validation": "more.jsonl",
                "oracle": "true",
                "model": "textcnn",
                "options": {"batch": 8},
                "seeds": 7,
                "smallest_effect": 0.02,
                "also": ("augmented",),
                "compress": True,
                "processes": 2,
                "workers": 3,
                "profile": "gpu",
            },
        }
    )
    run_recipe(recipe, workers=1)
    proof = prove_recipe(recipe)
    assert proof.verdict == "better by 1.0 points"
    (given,) = called
    place = Path("out.proof")
    assert (given["raw"], given["curated"], given["test"]) == (
        place / "raw",
        Path("out"),
        place / "test",
    )
    assert given["tests"] == {"more": place / "test-more"}
    assert given["validation"] == place / "validation"
    assert (given["text"], given["label"], given["oracle"]) == ("body", "kind", "true")
    assert (given["model"], given["options"], given["seeds"]) == ("textcnn", {"batch": 8}, 7)
    assert (given["smallest_effect"], given["also"]) == (0.02, ("augmented",))
    assert (given["compress"], given["processes"], given["workers"]) == (True, 2, 3)
    assert (given["profile"], given["notes"], given["synthetic"]) == ("gpu", ("a note",), [])
    assert given["variants"] == {}
    assert "better by 1.0 points" in Path("out/README.md").read_text()
    assert "<p>fragment</p>" in Path("out/_curate/report.html").read_text()


def test_directories_learn_the_text_alone(called, here):
    prove_directories(raw="raw.jsonl", curated="clean.jsonl", test="test.jsonl", text="body")
    (given,) = called
    assert (given["task"], given["label"]) == ("language_modelling", None)
    assert given["carved_late"] is None
    assert given["out"] == Path("clean.jsonl-against-raw.jsonl.proof")


def test_directories_take_the_notes_of_a_recipe(called, here):
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "read": {"format": "jsonl", "path": "raw.jsonl", "text": "body"},
            "write": {"path": "out"},
            "notes": ("a note",),
        }
    )
    run_recipe(recipe, workers=1)
    names = {"text": "body", "label": "kind"}
    prove_directories(raw="raw.jsonl", curated="out", out=Path("p"), **names)
    (given,) = called
    assert given["notes"] == ["a note"]
    assert given["curated"] == Path("out")
    assert "held out of raw" in given["carved_late"]
    assert given["test"] == Path("p/held-out")


def test_directories_say_which_option_is_wrong(called, here):
    with pytest.raises(ValueError, match=r"--model: text_classification trains one of") as caught:
        prove_directories(
            raw="raw.jsonl",
            curated="clean.jsonl",
            task="text_classification",
            model="cnn",
            options={"raet": 1},
        )
    assert "--options: has no 'raet'" in str(caught.value)
    assert called == []
