"""The graph grows with the recipe, never with the input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from in_memory import run_job

from curate.recipe.recipe import Recipe
from pipelines.engine import graph as engine
from pipelines.readers.read_plan import make_plan

STEPS = [
    {"op": "normalize_text"},
    {"op": "exact_dedup"},
    {"op": "near_dedup"},
    {"op": "embed"},
    {"op": "semantic_dedup"},
    {"op": "sample", "fraction": 0.5},
    {"op": "split"},
]


def graph_size(recipe: Recipe, tasks: int) -> int:
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    pipeline = beam.Pipeline(runner=FnApiRunner())
    engine.build(
        pipeline,
        engine.Job(
            read=recipe.read,
            steps=recipe.steps,
            seed=0,
            work="/work",
            tasks=tasks,
            spools=True,
            required=("text",),
            shard_bytes=256_000_000,
        ),
    )
    return len(pipeline.to_runner_api().SerializeToString())


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 10,000 files."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(10_000):
        (folder / f"{i}.jsonl").write_text(f'{{"text": "row {i // 2}"}}\n')
    return folder


def test_graph_of_ten_thousand_files_is_that_of_one(
    many: Path, recipe: Callable[..., Recipe]
) -> None:
    given: Any = recipe({"format": "jsonl", "path": str(many)}, STEPS)
    plan = make_plan(given.read, target_bytes=1000)
    assert len(plan.files) == 10_000
    assert len(plan.tasks) > 100
    size = graph_size(given, len(plan.tasks))
    assert abs(size - graph_size(given, 1)) < 500  # the number of tasks has more digits
    assert size < 1_000_000


def test_ten_thousand_files_are_read_as_few_batches(
    many: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    given = recipe({"format": "jsonl", "path": str(many)}, [{"op": "exact_dedup"}])
    outcome = run_job(tmp_path / "work", given.read, given.steps)
    assert outcome.balance()[0].kept == 5000
    batches = 0
    for path in (tmp_path / "work/shards").rglob("*-rows-*.arrow"):
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            batches += file.num_record_batches
    assert batches == 2
