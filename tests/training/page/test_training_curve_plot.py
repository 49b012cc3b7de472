import re
from xml.etree import ElementTree

import example_results as examples
import numpy as np
import pytest
from scipy import stats

from training.metrics import ACCURACY, BITS
from training.page.curve_plot import arrows, curve_plot, whisker, written

CURVE = examples.learning_curve("accuracy")


def test_every_seed_and_mean_is_a_point():
    figure = curve_plot(CURVE, ACCURACY)
    assert ElementTree.fromstring(figure) is not None
    assert figure.count("pf-seed") == len(CURVE.points) * examples.SEEDS
    assert figure.count("pf-point") == len(CURVE.points)
    assert figure.count("pf-whisker") == len(CURVE.points)


def test_whiskers_are_student_t_over_seeds():
    scores = [0.61, 0.64, 0.6, 0.63]
    wanted = stats.t.interval(0.95, 3, np.mean(scores), stats.sem(scores))
    assert whisker(scores) == pytest.approx(wanted)
    assert whisker([0.5]) == (0.5, 0.5)


def test_law_is_drawn_within_the_measured_sizes_only():
    figure = curve_plot(CURVE, ACCURACY)
    ends = {}
    for kind, path in re.findall(r'class="pf-(law|path) pf-raw" d="M([^"]+)"', figure):
        x = [float(place.split()[0]) for place in path.split(" L")]
        ends[kind] = (min(x), max(x))
    assert ends["law"] == pytest.approx(ends["path"], abs=0.02)


@pytest.mark.parametrize(("metric", "named"), [("accuracy", ACCURACY), ("bits per byte", BITS)])
def test_law_lies_on_the_points_it_was_fitted_to(metric, named):
    figure = curve_plot(examples.learning_curve(metric), named)
    last = {}
    for kind, path in re.findall(r'class="pf-(law|path) pf-curated" d="M([^"]+)"', figure):
        last[kind] = float(path.split(" L")[-1].split()[1])
    assert last["law"] == pytest.approx(last["path"], abs=8)


def test_a_refused_law_is_not_drawn():
    refused = [law.model_copy(update={"alpha": None, "refused": "it rises"}) for law in CURVE.laws]
    figure = curve_plot(CURVE.model_copy(update={"laws": refused}), ACCURACY)
    assert "pf-law" not in figure


def test_a_censored_multiplier_is_an_open_arrow_with_its_bound():
    kept, same = arrows(CURVE)
    assert kept.open
    assert kept.said == "≥ 1.85× raw rows"
    assert kept.end == pytest.approx(10_000)
    assert not same.open
    assert same.start == 10_000
    assert same.said == "15\u00a0% of raw’s rows"
    assert "pf-open" in curve_plot(CURVE, ACCURACY)


def test_worse_data_is_worth_fewer_raw_rows():
    curve = examples.learning_curve("accuracy", factor=0.6)
    (kept,) = arrows(curve)
    assert kept.said == "0.6× raw rows"
    assert kept.end < kept.start
    assert "pf-tip" in curve_plot(curve, ACCURACY)


def test_an_arrow_of_no_length_is_left_out():
    (same,) = arrows(examples.learning_curve("accuracy", "steps"))
    assert same.said == "15\u00a0% of raw’s steps"


def test_a_curve_without_multipliers_is_drawn():
    bare = CURVE.model_copy(update={"multipliers": [], "laws": []})
    assert arrows(bare) == []
    assert "pf-arrow" not in curve_plot(bare, ACCURACY)


def test_shares_and_ratios_are_written_each_in_its_way():
    assert written(examples.multiplier("same quality", 0.423, None)) == "42\u00a0%"
    assert written(examples.multiplier("pool", 1.2345, "at most")) == "≤ 1.23×"
