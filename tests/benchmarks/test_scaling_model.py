"""The fit finds the costs that runs were made of."""

from dataclasses import replace

import pytest

from benchmarks.fitting import exponent, fit, predicted, solve
from benchmarks.observation import TINY, Observation
from benchmarks.scaling_cases import CASES
from benchmarks.scaling_corpora import generate
from benchmarks.scaling_plot import draw
from curate.plan.costs import load_costs

ABOUT = {"date": "2026-01-01", "machine": "made up", "versions": {}}
EXACT = {"op": "exact_dedup"}


def run(rows, step=None, workers=1, content=100.0):
    """A run that costs 1 s, 2 µs a row to read and write, and 5 µs a row to dedup."""
    stored = content + 20
    own = 5e-6 * rows if step else 0.0
    cpu = 1 + 2e-6 * rows + own
    return Observation(
        corpus="made",
        rows=rows,
        content=content,
        stored=stored,
        dimensions=0,
        step=step,
        workers=workers,
        cpu=cpu,
        wall=cpu,
        peak=200e6 + 300 * rows + (1000 * rows if step else 0),
        shuffled=60 * rows if step else 0,
        seconds=own * 0.5,
    )


SIZES = (TINY, 10_000, 100_000, 1_000_000)
RUNS = [run(rows, step) for step in (None, EXACT) for rows in SIZES]


def test_fit_recovers_what_runs_are_made_of():
    costs = fit(RUNS, ABOUT)
    part = costs.steps["exact_dedup"]
    found = predicted(costs, run(3_000_000, EXACT))
    assert found["cpu"] == pytest.approx(1 + 7e-6 * 3e6, rel=0.02)
    assert found["shuffled"] == pytest.approx(60 * 3e6, rel=0.01)
    assert part.exponent == pytest.approx(1.0, abs=0.02)
    assert part.rows == 1_000_000
    assert costs.error.worst < 0.02


def test_quadratic_step_shows_in_the_exponent():
    runs = [
        o if o.step is None else replace(o, cpu=o.cpu + 1e-10 * o.rows**2, shuffled=0) for o in RUNS
    ]
    part = fit(runs, ABOUT).steps["exact_dedup"]
    assert part.last_exponent > 1.5
    assert part.last_exponent > part.exponent


def test_second_process_is_what_two_runs_differ_by():
    two = [replace(run(rows, step), workers=2) for rows, step in ((TINY, None), (1_000_000, EXACT))]
    slower = [replace(o, wall=o.wall + 4, cpu=1 + (o.cpu - 1) * 1.5) for o in two]
    found = fit([*RUNS, *slower], ABOUT).processes
    assert found.start_wall == pytest.approx(4, abs=0.1)
    assert found.cpu_factor == pytest.approx(1.5, abs=0.01)


def test_factors_are_never_negative():
    drivers = [{"rows": rows, "bytes": 100.0 * rows} for rows in (10.0, 100.0, 1000.0)]
    found = solve(("rows", "bytes"), drivers, [-1.0, -2.0, 5.0], 0.1)
    assert all(factor >= 0 for factor in found.values())
    assert solve(("rows",), drivers, [20.0, 200.0, 2000.0], 0.1) == {"rows": 2.0}


def test_exponent_is_a_slope():
    assert exponent([10, 100, 1000], [1, 100, 10_000]) == 2.0
    assert exponent([10], [1]) is None
    assert exponent([10, 100], [0, 1]) is None


def test_corpora_of_any_size_have_the_same_mix(tmp_path):
    import pyarrow.parquet as pq

    small, large = (generate(tmp_path / f"{n}", "text", n) for n in (10_000, 20_000))
    assert large["content"] == pytest.approx(small["content"], rel=0.02)
    texts = pq.read_table(tmp_path / "20000")["text"].to_pylist()
    assert 0.85 < len(set(texts)) / len(texts) < 0.95
    assert pq.read_table(tmp_path / "10000").equals(pq.read_table(tmp_path / "20000")[:10_000])


def test_every_case_has_a_start_to_take_off():
    starts = {(case.op, name(case)) for case in CASES if TINY in case.rows}
    assert {(case.op, name(case)) for case in CASES if case.runs_here()} <= starts


def name(case):
    options = dict(case.steps[-1]) if case.steps else {}
    return options.get("model") or options.get("method")


def test_plot_has_a_line_for_each_step():
    drawn = draw(RUNS[1:], {})
    assert drawn.count('<path d="M') >= 2
    assert ">exact_dedup</text>" in drawn
    assert drawn == draw(RUNS[1:], {})


STEEPER = {"line_dedup": 1.2, "mix": 1.3}
"""Steps above 1.1; of `mix` too little is left at 100,000 rows to tell (0.1 CPU-s)."""


def test_steps_measured_to_a_million_rows_are_near_linear():
    slopes = {n: p.exponent for n, p in load_costs().steps.items() if p.rows >= 1_000_000}
    steep = {name for name, slope in slopes.items() if (slope or 0) > STEEPER.get(name, 1.1)}
    assert steep == set()
