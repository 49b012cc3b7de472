"""A recipe is run and proved, steps and all, and what is found stands wherever it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from curate.prove.prove import Proof, prove_recipe
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from curate.samples.planted import write_marker
from training.runs.progress import Progress

Make = Callable[..., Any]
WORDS = {"cat": "meow purr claw whisker", "dog": "bark fetch tail bone"}


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Texts whose words tell their label, for three in four of them; every fourth is junk."""
    made = []
    for i in range(first, first + count):
        label = ("cat", "dog")[i % 2]
        word = WORDS[label].split()[i // 2 % 4]
        text = f"{word} says the animal number {i}" if i % 4 else f"nothing {i}"
        made.append({"text": text, "label": label, "id": f"r{i}"})
    return made


@dataclass
class Recorder:
    """Keeps what a proof shows."""

    said: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    seen: list[Progress] = field(default_factory=list)

    def tell(self, said: str) -> None:
        """Keep it."""
        self.said.append(said)

    def note(self, *lines: str) -> None:
        """Keep it."""
        self.noted += lines

    def plan_in(self, folder: Path) -> None:
        """Keep nothing."""

    def runs(self, now: Progress) -> None:
        """Keep it."""
        self.seen.append(now)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with raw and test data, whose dirt is marked as planted."""
    folder = tmp_path_factory.mktemp("proof")
    (folder / "data").mkdir()
    for name, some in (("train", rows(400)), ("test", rows(120, first=1_000))):
        lines = "".join(json.dumps(row) + "\n" for row in some)
        (folder / "data" / f"{name}.jsonl").write_text(lines)
    write_marker(folder / "data", ["every fourth text is junk"])
    return folder


def recipe_in(place: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "animals",
            "notes": ("made up",),
            "read": {"format": "jsonl", "path": str(place / "data/train.jsonl")},
            "steps": (
                {"op": "word_count", "at_least": 3},
                {"op": "exact_dedup"},
                {"op": "char_count", "at_least": 20, "at_most": 33},
            ),
            "write": {"path": str(place / "out")},
            "prove": {
                "task": "text_classification",
                "test": str(place / "data/test.jsonl"),
                "tests": {"again": str(place / "data/test.jsonl")},
                "seeds": 3,
                "steps": 20,
                "sizes": 0,
                "rates": (),
                "attribution": True,
            },
        }
    )


@pytest.fixture(scope="module")
def proved(place: Path) -> tuple[Proof, Recorder]:
    recipe = recipe_in(place)
    run_recipe(recipe, workers=1)
    shown = Recorder()
    return prove_recipe(recipe, display=shown), shown


def test_proof_judges_each_step_that_changed_rows(proved: tuple[Proof, Recorder]) -> None:
    proof, shown = proved
    assert [step.step for step in proof.result.attribution] == ["1.word_count", "3.char_count"]
    assert shown.noted == ["attribution: no 2.exact_dedup: it changed no row"]
    assert [said for said in shown.said if said.startswith("attribution")] == [
        "attribution: without:1.word_count (1 of 4)",
        "attribution: only:1.word_count (2 of 4)",
        "attribution: without:3.char_count (3 of 4)",
        "attribution: only:3.char_count (4 of 4)",
    ]


def test_proof_names_what_is_planted_and_what_the_recipe_notes(
    proved: tuple[Proof, Recorder],
) -> None:
    result = proved[0].result
    assert (result.synthetic, result.notes) == (["every fourth text is junk"], ["made up"])
    assert "every fourth text is junk" in result.sentence


def test_proof_tells_the_gap_on_each_test(proved: tuple[Proof, Recorder]) -> None:
    names = [c.name for c in proved[0].result.conditions if c.kind == "test"]
    assert any("again" in name for name in names)


def test_proof_shows_how_far_it_is(proved: tuple[Proof, Recorder]) -> None:
    seen = proved[1].seen
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert seen[0].done == 0
    assert seen[-1].done == seen[-1].total
    assert seen[-1].estimate is not None


def test_verdict_stands_on_card_and_report(proved: tuple[Proof, Recorder], place: Path) -> None:
    card = (place / "out/README.md").read_text()
    assert card.count("## What curation was worth") == 1
    assert "every fourth text is junk" in card
    report = (place / "out/_curate/report.html").read_text()
    assert "<!-- proof --><" in report.replace("\n", "")
    assert proved[0].report.is_file()


def test_proof_goes_on_where_it_stopped(proved: tuple[Proof, Recorder], place: Path) -> None:
    runs = {path: path.stat().st_mtime_ns for path in (place / "out.proof/runs").iterdir()}
    shown = Recorder()
    again = prove_recipe(recipe_in(place), display=shown)
    assert again.result.sentence == proved[0].result.sentence
    assert shown.seen[0].done == shown.seen[0].total
    assert {path: path.stat().st_mtime_ns for path in runs} == runs
    assert not any(said.startswith("attribution") for said in shown.said)


@pytest.mark.usefixtures("proved")
def test_proof_of_another_input_is_refused(place: Path) -> None:
    data = place / "data/train.jsonl"
    whole = data.read_text()
    data.write_text(whole + whole.splitlines()[0] + "\n")
    try:
        with pytest.raises(ValueError, match=r"made of 400 rows, the input now has 401; run the"):
            prove_recipe(recipe_in(place))
    finally:
        data.write_text(whole)
