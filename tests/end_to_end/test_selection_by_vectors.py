"""Selection by vectors as a user runs it: the recipe of D4, and large and small working shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_memory import run_job

from curate.recipe.recipe import Recipe, load_recipe
from curate.run.run import run_recipe

RECIPE = Path(__file__).parents[2] / "recipes/diversify-text.yaml"
FILMS = 120


@pytest.fixture
def reviews(tmp_path: Path, lines: Callable[..., Path]) -> Path:
    """Write reviews of which each third stands twice, and the second time in capitals."""
    lot = np.random.default_rng(0)
    words = np.array([f"{sound}{n}" for sound in ("ba", "lo", "mi") for n in range(60)])
    texts = [" ".join(lot.choice(words, 12)) for _ in range(FILMS)]
    texts += [text.upper() for text in texts[::3]]
    rows = [{"text": text, "label": ("fresh", "rotten")[i % 2]} for i, text in enumerate(texts)]
    lines("reviews/train-0.jsonl", rows[:70])
    return lines("reviews/train-1.jsonl.gz", rows[70:]).parent


def test_diversify_text_drops_copies_and_then_a_quarter(reviews: Path, tmp_path: Path) -> None:
    asked = [f"read.path={reviews}", f"write.path={tmp_path / 'out'}"]
    found = run_recipe(load_recipe(RECIPE, asked)).manifest.as_json()
    dropped = {step["op"]: step["reasons"] for step in found["steps"] if step["dropped"]}
    assert dropped == {
        "semantic_dedup": {"semantic_duplicate": FILMS // 3},
        "prune_prototypes": {"not_selected": FILMS // 4},
    }
    assert found["rows"]["kept"] == FILMS - FILMS // 4


def test_selection_by_vectors_does_not_depend_on_shards(
    recipe: Callable[..., Recipe], reviews: Path, tmp_path: Path
) -> None:
    steps: list[dict[str, Any]] = [
        {"op": "embed"},
        {"op": "cluster_sample", "clusters": 5, "rows": 90},
        {"op": "k_center", "rows": 20},
    ]
    given = recipe({"format": "jsonl", "path": str(reviews)}, steps)
    outcomes = []
    for name, target in (("one", 1 << 26), ("many", 2000)):
        (tmp_path / name).mkdir()
        outcomes.append(run_job(tmp_path / name, given.read, given.steps, target_bytes=target))
        outcomes[-1].balance()
    one, many = (outcome.rows().to_pylist() for outcome in outcomes)
    assert one == many
    assert len(one) == 20
