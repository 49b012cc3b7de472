import json

import pytest
from pydantic import TypeAdapter

from curate.plan.costs import (
    COSTS_FILE,
    CostEstimate,
    Costs,
    PartCosts,
    Size,
    add_up,
    errors_of,
    estimate_part,
    load_costs,
    name_of,
    quantities,
    term_value,
    total_of,
)
from pipelines.maths.sets.minhash import plan_bands
from pipelines.readers.read_plan import TASK_BYTES
from pipelines.steps import STEPS, AnyStep

NO_MISS = {"median": 0.0, "worst": 0.0}
COSTS = Costs.model_validate(
    {
        "date": "2026-01-01",
        "machine": "a machine",
        "versions": {},
        "fixed": {"cpu": 1.0, "wall": 1.5, "memory": 100.0},
        "base": {"cpu": {"rows": 1e-6}, "memory": {}, "rows": 1000, "error": NO_MISS},
        "steps": {},
        "processes": {"start_wall": 5.0, "cpu_factor": 1.5, "serial": 0.5, "memory_factor": 2.0},
        "error": NO_MISS,
        "memory_error": NO_MISS,
    }
)


def step(**options):
    return TypeAdapter(AnyStep).validate_python(options)


def test_term_is_a_product_of_quantities():
    drivers = {"rows": 10.0, "bytes": 200.0, "permutations": 128}
    assert term_value("rows", drivers) == 10
    assert term_value("bytes*permutations", drivers) == 200 * 128
    assert term_value("rows*unheard_of", drivers) == 0
    assert total_of({"rows": 2.0, "bytes": 0.5}, drivers) == 20 + 100


def test_quantities_are_size_and_whole_number_options():
    found = quantities(step(op="near_dedup", permutations=256), Size(1000, 50, 80))
    assert found["rows"] == 1000
    assert found["bytes"] == 50_000
    assert found["task"] == 80_000
    assert found["permutations"] == 256
    assert found["bands"] == plan_bands(0.8, 256)[0]


def test_bytes_of_reading_and_writing_are_those_of_all_columns():
    assert quantities(None, Size(1000, 50, 80))["bytes"] == 80_000


def test_a_task_has_at_most_so_many_bytes():
    assert quantities(None, Size(1e9, 50, 80))["task"] == TASK_BYTES


def test_option_called_rows_is_not_the_number_of_rows():
    found = quantities(step(op="k_center", rows=7), Size(1000, 50, 80, 64))
    assert found["rows"] == 1000
    assert found["kept"] == 7


def test_dimensions_of_the_step_win():
    assert quantities(step(op="embed", dimensions=32), Size(10, 5, 8, 256))["dimensions"] == 32
    assert quantities(step(op="semantic_dedup"), Size(10, 5, 8, 256))["dimensions"] == 256


def test_cells_grow_with_rows_up_to_a_bound():
    one = step(op="semantic_dedup")
    assert quantities(one, Size(1000, 5, 8, 256))["rows_a_cell"] == 1000
    few, many = (quantities(one, Size(rows, 5, 8, 256)) for rows in (10**6, 10**12))
    assert few["rows_a_cell"] < many["rows_a_cell"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"op": "exact_dedup"}, "exact_dedup"),
        ({"op": "embed"}, "embed:hash"),
        ({"op": "augment_text", "method": "ocr"}, "augment_text:ocr"),
        ({"op": "semantic_dedup", "index": "exact"}, "semantic_dedup:exact"),
        ({"op": "near_dedup", "unit": "char"}, "near_dedup:char"),
    ],
)
def test_costs_go_by_op_and_variant(options, name):
    assert name_of(step(**options)) == name


def test_estimate_is_start_and_terms():
    part = PartCosts(
        start_cpu=0.5,
        start_memory=7.0,
        cpu={"rows": 2.0},
        memory={"bytes": 1.0},
        shuffled={"rows": 3.0},
        rows=10,
        error=errors_of([]),
    )
    assert estimate_part(part, None, Size(10, 1, 4)) == CostEstimate(20.5, 47.0, 30.0)


def test_memory_is_that_of_the_greediest_step_and_the_rest_adds_up():
    total = add_up(COSTS, [CostEstimate(2.0, 10.0, 5.0), CostEstimate(3.0, 30.0, 6.0)], 1)
    assert (total.cpu, total.wall, total.memory, total.shuffled) == (6.0, 6.5, 130.0, 11.0)


def test_more_processes_cost_cpu_and_save_time_only_on_what_is_parallel():
    parts = [CostEstimate(100.0, 10.0, 0.0)]
    two, many = add_up(COSTS, parts, 2), add_up(COSTS, parts, 1000)
    assert two.cpu == 1 + 150
    assert two.wall == 1.5 + 5 + 150 * 0.75
    assert many.wall == pytest.approx(1.5 + 5 + 75, rel=0.01)
    assert two.memory == 220


def test_errors_are_the_middle_and_the_worst():
    assert errors_of([-0.5, 0.1, 0.2]).model_dump() == {"median": 0.2, "worst": 0.5}


def test_costs_of_the_package_say_whence_they_are():
    costs = load_costs()
    assert costs.date
    assert costs.machine
    assert costs.versions["curate-proof"]
    assert {name.split(":")[0] for name in costs.steps} <= STEPS.keys()
    assert json.loads(COSTS_FILE.read_bytes())["checks"], "the model is held against other runs"


def test_more_rows_never_cost_less():
    costs = load_costs()
    for name, part in costs.steps.items():
        op, _, kind = name.partition(":")
        options = {"op": op}
        options |= {"embed": {"model": kind}, "augment_text": {"method": kind}}.get(op, {})
        options |= REQUIRED.get(op, {})
        sizes = [Size(rows, 500, 2000, 256) for rows in (1e3, 1e6, 1e9)]
        found = [estimate_part(part, step(**options), size) for size in sizes]
        assert found == sorted(found, key=lambda one: one.cpu), name
        assert found[0].cpu >= 0, name


REQUIRED = {
    "language": {"keep": ("en",)},
    "drop_columns": {"columns": ("x",)},
    "sample": {"fraction": 0.5},
    "select_top": {"by": "x", "fraction": 0.5},
    "mix": {"by": "x", "temperature": 1.0},
    "dsir": {"target": "x", "fraction": 0.5},
    "cluster_sample": {"fraction": 0.5},
    "prune_prototypes": {"fraction": 0.5},
    "k_center": {"fraction": 0.5},
}
