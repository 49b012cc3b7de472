"""Augmentation: copies with a key, id and parent of their own, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from in_memory import Poison, run_job

from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps import STEPS
from pipelines.steps.step import Derive

Make = Callable[..., Any]


class Shout(Derive):
    """Upper-cases texts; cannot stand some."""

    op: str = "shout"
    copies: int = 1
    hates: str = "poison"

    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        """Return the rows in upper case."""
        texts = rows.text.to_pylist()
        if self.hates in texts:
            raise ValueError(f"hates {self.hates}")
        import pyarrow as pa

        return rows.replace("text", pa.array([f"{t} {copy}".upper() for t in texts]))


def test_copies_stand_behind_their_parent_in_the_training_split(
    recipe: Callable[..., Recipe], lines: Make, tmp_path: Path
) -> None:
    rows = [{"text": f"some words of row {i}", "id": f"r{i}", "n": i} for i in range(100)]
    read = {"format": "jsonl", "path": str(lines("in.jsonl", rows))}
    steps = [
        {"op": "split", "shares": {"train": 0.7, "validation": 0.3}},
        {"op": "augment_text", "method": "keyboard", "copies": 2},
        {"op": "embed", "dimensions": 16},
        {"op": "augment_text", "method": "swap_words"},
    ]
    manifest = run_recipe(recipe(read, steps)).manifest.as_json()
    import datasets

    opened = datasets.load_from_disk(str(tmp_path / "out"))
    train, validation = opened["train"].to_list(), opened["validation"].to_list()
    parents = [row for row in train if row["_parent"] is None]
    counted = {"in": 100, "kept": 100, "dropped": 0, "quarantined": 0, "derived": 3 * len(parents)}
    assert manifest["rows"] == counted
    assert len(parents) + len(validation) == 100
    assert all(row["_parent"] is None for row in validation)
    for at in range(0, len(train), 4):
        parent, *copies = train[at : at + 4]
        wanted = [f"{parent['_id']}~{i}" for i in (1, 2, 3)]
        assert [copy["_id"] for copy in copies] == wanted
        assert [copy["id"] for copy in copies] == wanted
        assert {copy["_parent"] for copy in copies} == {parent["_id"]}
        assert {copy["n"] for copy in copies} == {parent["n"]}
        assert copies[0]["text"] != parent["text"]
        # The second augmentation starts from the original, not from its copies.
        assert sorted(copies[2]["text"].lower()) == sorted(parent["text"].lower())


def test_quarantined_parent_takes_its_copies_along(lines: Make, tmp_path: Path) -> None:
    path = lines("in.jsonl", [{"text": text} for text in ("one", "poison", "two")])
    (tmp_path / "work").mkdir()
    steps = [Shout(hates=""), Shout(), Poison(word="TWO 0")]
    outcome = run_job(tmp_path / "work", Jsonl(path=str(path)), steps)
    rows, figures = outcome.balance()
    assert rows.as_json() == {"in": 3, "kept": 2, "dropped": 0, "quarantined": 1, "derived": 2}
    assert [step.quarantined for step in figures] == [0, 0, 2, 2]
    assert outcome.rows()["text"].to_pylist() == ["one", "ONE 0", "ONE 0", "two"]
    fates = Counter((r["fate"], "~" in r["id"]) for r in outcome.ledger())
    assert fates == {
        ("kept", False): 2,
        ("quarantined", False): 1,
        ("quarantined", True): 3,
        ("derived", True): 2,
    }
    errors = {r["id"]: r["error"] for r in outcome.ledger() if r["fate"] == "quarantined"}
    assert errors["in.jsonl#16"] == "ValueError: hates poison"
    assert errors["in.jsonl#16~1"] == "ParentLost: the row it was derived from is quarantined"


def test_batch_of_nothing_but_bad_rows_is_quarantined(lines: Make, tmp_path: Path) -> None:
    path = lines("in.jsonl", [{"text": "poison"}] * 3)
    for i, steps in enumerate(([Shout()], [Poison()], [STEPS["embed"](), Poison()])):
        (tmp_path / f"work{i}").mkdir()
        outcome = run_job(tmp_path / f"work{i}", Jsonl(path=str(path)), steps)
        assert outcome.balance()[0].quarantined == 3
