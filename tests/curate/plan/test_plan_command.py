import gzip
import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import curate.run.run
from curate.cli import main
from curate.plan.costs import load_costs
from curate.plan.numbers import parse_bytes, parse_count
from curate.plan.plan import bandings, plan_recipe
from curate.plan.plan_text import in_bytes, in_time
from curate.recipe.recipe import load_recipe
from pipelines.maths.sets.minhash import candidate_probability
from pipelines.steps import NearDedup

RECIPE = """\
name: web
read: {format: jsonl, path: data.jsonl}
steps:
  - {op: word_count, at_least: 2}
  - {op: exact_dedup}
  - {op: near_dedup, similarity: 0.77}
write: {path: out}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    rows = [{"text": f"the text of row number {i:04d}"} for i in range(200)]
    Path("data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def plan(*arguments, code=0):
    done = CliRunner().invoke(main, ["plan", "r.yaml", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def planned(*arguments):
    return json.loads(re.sub(r"^[^{]*", "", plan("--json", *arguments), count=1))


@pytest.mark.usefixtures("here")
def test_plan_tells_input_steps_curve_and_model():
    said = plan()
    assert "1 file, 8" in said
    assert "about 200 rows, estimated from the first 200; 27 B of content each" in said
    assert re.search(r"3  near_dedup +1 +\d+ +[\d.]+ s", said)
    assert re.search(r"total +[\d.]+ s of CPU", said)
    assert re.search(r"0\.77 +99\.\d+% +█+ +← similarity", said)
    assert f"fitted {load_costs().date} on" in said.replace("\n", " ")


@pytest.mark.usefixtures("here")
def test_plan_runs_nothing():
    before = sorted(Path.cwd().iterdir())
    plan()
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.usefixtures("here")
def test_more_rows_cost_more_and_keep_the_row_as_sampled():
    few, many = planned(), planned("--rows", "1000M")
    assert few["input"]["rows"] == 200
    assert many["input"]["rows"] == 1_000_000_000
    assert many["input"]["content"] == few["input"]["content"] == 27
    assert many["total"]["cpu"] > 10 * few["total"]["cpu"]
    assert many["total"]["shuffled"] > 1000 * few["total"]["shuffled"]
    assert any("extrapolated" in remark for remark in many["remarks"])


@pytest.mark.usefixtures("here")
def test_bytes_are_rows_of_the_sampled_size():
    assert planned("--bytes", "27MB")["input"]["rows"] == 1_000_000
    assert planned("--bytes", "2GB", "--row-bytes", "2kB")["input"]["rows"] == 1_000_000


@pytest.mark.usefixtures("here")
def test_limit_bounds_the_rows():
    assert planned("--limit", "50")["input"]["rows"] == 50


@pytest.mark.usefixtures("here")
def test_limit_bounds_described_rows_too():
    found = planned("--rows", "10M", "--limit", "50")
    assert (found["input"]["rows"], found["tasks"]) == (50, 1)


def test_rows_are_estimated_from_files_of_a_few_lines(here):
    lines = "".join(f"{json.dumps({'text': 'the same text again'})}\n" for _ in range(5))
    (here / "data.jsonl").unlink()
    for i in range(100):
        (here / f"data{i}.jsonl").write_text(lines)
    found = planned("--set", "read.path=data*.jsonl")["input"]
    assert (found["rows"], found["sampled"]) == (500, 500)


@pytest.fixture
def small_parts(here, monkeypatch):
    """A file and its compressed copy, some hundred bytes that hold 8,000: for several workers."""
    (here / "data.jsonl.gz").write_bytes(gzip.compress((here / "data.jsonl").read_bytes()))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(curate.run.run, "BYTES_PER_PROCESS", 300)
    monkeypatch.setattr(curate.run.run, "SMALLEST_TASK", 20)
    Path("r.yaml").write_text(RECIPE.replace("data.jsonl", "data.jsonl*"))
    return here


@pytest.mark.usefixtures("small_parts")
def test_tasks_and_workers_are_those_of_the_run():
    recipe = load_recipe("r.yaml")
    found = plan_recipe(recipe)
    read, workers = curate.run.run.plan_reading(recipe, "local", None, None)
    assert (found.tasks, found.workers) == (len(read.tasks), workers)
    size = sum(path.stat().st_size for path in Path.cwd().glob("data.jsonl*"))
    assert workers == 1 + size // 300
    assert found.input.sampled == 400  # however small the tasks


@pytest.mark.usefixtures("small_parts")
def test_tasks_and_workers_of_described_rows_grow_with_the_files(monkeypatch):
    Path("data.jsonl").unlink()
    recipe = load_recipe("r.yaml")
    monkeypatch.setattr(curate.run.run, "BYTES_PER_PROCESS", 5000)
    once = plan_recipe(recipe)
    more = plan_recipe(recipe, rows=20 * once.input.rows)
    assert once.workers == 1
    assert more.workers == 1 + 20 * Path("data.jsonl.gz").stat().st_size // 5000
    assert more.tasks >= 4 * more.workers


@pytest.mark.usefixtures("small_parts")
def test_file_that_is_cut_up_first_is_one_more_shuffle():
    few, many = (plan_recipe(load_recipe("r.yaml"), workers=n) for n in (1, 8))
    assert many.shuffles == few.shuffles + 1
    assert many.steps[0].shuffles == few.steps[0].shuffles + 1
    assert plan_recipe(load_recipe("r.yaml"), rows=10**6, workers=8).shuffles == many.shuffles


@pytest.mark.usefixtures("here")
def test_target_of_dsir_is_opened_and_must_be_there():
    Path("r.yaml").write_text(
        "name: d\nread: {format: jsonl, path: data.jsonl}\n"
        "steps: [{op: dsir, target: good.txt, rows: 10}]\nwrite: {path: out}\n"
    )
    assert "good.txt" in plan(code=2)
    Path("good.txt").write_text("good texts")
    assert "dsir" in plan()
    said = " ".join(plan("--help").split())
    assert "Reads the first rows of the input, and of the target of a `dsir` step." in said


@pytest.mark.usefixtures("here")
def test_workers_start_processes():
    one, four = planned("--workers", "1"), planned("--workers", "4")
    assert four["workers"] == 4
    assert four["total"]["wall"] > one["total"]["wall"]  # 200 rows are not worth a second process


@pytest.mark.usefixtures("here")
def test_step_without_costs_is_named_and_left_out():
    costs = load_costs()
    known = {name: part for name, part in costs.steps.items() if name != "near_dedup"}
    recipe = load_recipe("r.yaml")
    found = plan_recipe(recipe, costs=costs.model_copy(update={"steps": known}))
    assert found.steps[3].cost is None
    assert found.remarks[0] == "no cost known of step 3 near_dedup: not in the total"
    assert found.total.cpu < plan_recipe(recipe).total.cpu


@pytest.mark.usefixtures("here")
def test_shuffles_are_those_of_the_graph():
    found = plan_recipe(load_recipe("r.yaml"))
    assert found.shuffles == sum(step.shuffles for step in found.steps)
    assert [step.segment for step in found.steps[1:]] == [0, 0, 1]


@pytest.mark.usefixtures("here")
def test_input_that_is_not_there_is_an_error_unless_described():
    Path("data.jsonl").unlink()
    assert "data.jsonl" in plan(code=2)
    assert "data.jsonl" in plan("--rows", "1000", code=2)
    said = plan("--rows", "1M", "--row-bytes", "1kB")
    assert "1,000,000 rows, as asked" in said
    assert "there is no input yet" in said


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rows", "10", "--bytes", "1MB"), "give --rows or --bytes, not both"),
        (("--rows", "many"), "not a number of rows (got 'many')"),
        (("--bytes", "big"), "not a size (got 'big'"),
        (("--cache", "c"), "--cache goes with --sweep"),
        (("--sweep", "similarity=0.7,0.8", "--rows", "5"), "--sweep runs on the input as it is"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, said):
    assert said in plan(*arguments, code=2)


def test_columns_of_vectors_count_as_stored(here):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(640, np.float32)), 64)
    table = pa.table({"text": ["a text"] * 10, "embedding": vectors})
    pq.write_table(table, here / "v.parquet")
    Path("r.yaml").write_text(
        "name: v\nread: {format: parquet, path: v.parquet}\n"
        "steps: [{op: semantic_dedup, column: embedding}, {op: embed, dimensions: 128}]\n"
        "write: {path: out}\n"
    )
    found = plan_recipe(load_recipe("r.yaml")).input
    assert (found.rows, found.known) == (10, "counted")
    assert found.vectors == {"embedding": 64, "_embedding": 128}
    assert found.content == 6
    assert found.stored == pytest.approx(6 + 64 * 4 + 128 * 4, abs=16)


def test_curve_has_the_threshold_and_rises():
    (found,) = bandings([NearDedup(similarity=0.66)])
    assert 0.66 in dict(found.curve)
    probabilities = [probability for _, probability in found.curve]
    assert probabilities == sorted(probabilities)
    assert dict(found.curve)[0.9] == candidate_probability(0.9, found.bands, found.rows)


@pytest.mark.parametrize(
    ("text", "count"), [("1000", 1000), ("1e6", 10**6), ("2.5M", 2_500_000), ("10B", 10**10)]
)
def test_counts_are_read_as_people_write_them(text, count):
    assert parse_count(text) == count


def test_sizes_are_read_as_people_write_them():
    assert parse_bytes("2kB") == 2000
    assert parse_bytes("1MiB") == 1 << 20
    with pytest.raises(ValueError, match="at least 1 byte"):
        parse_bytes("0")


def test_figures_have_units():
    assert [in_bytes(size) for size in (12, 1500, 250e6, 3e12)] == [
        "12 B",
        "1.5 kB",
        "250 MB",
        "3.0 TB",
    ]
    assert [in_time(s) for s in (1.25, 300, 10_000, 1e6)] == [
        "1.2 s",
        "5.0 min",
        "2.8 h",
        "11.6 days",
    ]
