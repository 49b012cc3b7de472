import re
from xml.etree import ElementTree

import example_results as examples
import pytest

from training.metrics import ACCURACY, BITS
from training.page.bars import class_bars
from training.page.groups import arm_lines, condition_lines, step_lines
from training.page.plot import Line, forest
from training.page.scatter import Spot, scatter
from training.page.svg import Scale, log_ticks, short, tick_step, tick_value
from training.result.result import ClassShare


def drawn(figure):
    return ElementTree.fromstring(figure)


def words(figure):
    return [part.strip() for part in drawn(figure).itertext() if part.strip()]


def places(figure, kind):
    return [float(found) for found in re.findall(rf'class="{kind}"[^>]*? c?x="([-.\d]+)%"', figure)]


def test_forest_has_a_dot_for_each_seed_and_a_heading_for_each_group():
    lines = [
        Line("curated", 0.01, 0.005, 0.015, [0.009, 0.011, 0.01], kind="strong", group="a < b"),
        Line("aa", 0.0, -0.002, 0.002, [0.001, -0.001, 0.0], group="a < b"),
    ]
    figure = forest(lines, 0.01, ACCURACY, "Gaps")
    assert len(places(figure, "pf-dot")) == 6
    assert words(figure).count("a < b") == 1
    assert "+1.0  [+0.5, +1.5]" in words(figure)


def test_forest_speaks_the_unit_of_the_metric():
    figure = forest([Line("curated", 0.073, 0.069, 0.076)], 0.01, BITS, "Gaps")
    assert "+0.073  [+0.069, +0.076]" in words(figure)
    assert any("bits per byte saved" in said for said in words(figure))


def test_a_far_arm_does_not_squeeze_the_others():
    near = Line("curated", 0.08, 0.07, 0.09, [0.08], kind="strong")
    far = Line("anti", -0.6, -0.7, -0.5, [-0.6], kind="far")
    alone, both = (forest(lines, 0.01, ACCURACY, "") for lines in ([near], [near, far]))
    assert "−60.0  [−70.0, −50.0]" in words(both)
    assert "pf-head" in both
    assert "pf-head" not in alone
    assert all(0 <= x <= 100 for x in places(both, "pf-dot"))
    assert places(both, "pf-dot")[0] > 60


def test_forest_of_identical_runs_is_drawn():
    assert drawn(forest([Line("aa", 0.0, 0.0, 0.0, [0.0, 0.0])], 0.01, ACCURACY, "A/A")) is not None


def test_main_arms_come_first_and_attribution_is_kept_out():
    labels = [line.label for line in arm_lines(examples.full_result())]
    assert labels[:3] == ["curated", "random@n", "random@n,class"]
    assert labels.index("aa") < labels.index("oracle")
    assert labels[-2:] == ["− random@n", "− random@n,class"]
    assert not [label for label in labels if ":" in label]


def test_each_step_has_its_bars_with_the_verdict_over_them():
    steps = examples.full_result().attribution
    figure = forest(step_lines(steps), 0.01, ACCURACY, "Steps")
    assert figure.count('class="pf-bar"') == 2 * len(steps)
    assert len(places(figure, "pf-also")) == 2 * len(steps)
    assert "· dropped 1,402 · earns its keep" in words(figure)


def test_a_step_without_its_twin_is_drawn_against_raw():
    bare = examples.worth("4.near_dedup").model_copy(
        update={"without": None, "without_net": None, "only_net": None}
    )
    (line,) = step_lines([bare])
    assert (line.label, line.also) == ("alone − raw", None)


def test_conditions_stand_beside_the_planned_comparison():
    result = examples.full_result()
    labels = [line.label for line in condition_lines(result)]
    assert labels[0] == "as planned"
    assert labels[1:4] == sorted(labels[1:4], key=lambda label: float(label.split("%")[0]))
    assert len(labels) == 1 + len(result.conditions)
    assert condition_lines(result.model_copy(update={"conditions": []})) == []


def test_class_bars_show_the_most_shifted_first():
    classes = [ClassShare(name=f"c{i}", raw=0.1, curated=0.1 + i / 100, test=0.1) for i in range(9)]
    assert words(class_bars(classes, most=3))[0::2] == ["c8", "c7", "c6"]


def test_class_bars_of_absent_classes_are_drawn():
    assert drawn(class_bars([ClassShare(name="none", raw=0.0, curated=0.0, test=0.0)])) is not None


def test_scatter_keeps_labels_apart_and_joins_the_front():
    spots = [Spot(f"m{c}", c, 0.8, 0.79, 0.81, on_front=c < 3) for c in (1, 2, 30, 40)]
    figure = scatter(spots, ACCURACY, "ms")
    sides = {}
    for y, side in re.findall(r'pf-spotname[^>]* y="([\d.]+)"[^>]*anchor="(\w+)"', figure):
        sides.setdefault(side, []).append(float(y))
    assert sorted(map(len, sides.values())) == [2, 2]
    assert all(abs(first - second) >= 14 for first, second in sides.values())
    assert figure.count("pf-front") == 1


@pytest.mark.parametrize("reach", [0.003, 0.4, 1.0, 9.9, 77.0])
def test_ticks_are_few_and_round(reach):
    assert 1 < reach / tick_step(reach) <= 5.0000001


@pytest.mark.parametrize(("low", "high"), [(300, 11_000), (0.09, 1.9), (1e6, 3e9), (40, 55)])
def test_log_ticks_lie_within_and_are_few(low, high):
    found = log_ticks(low, high)
    assert 1 <= len(found) <= 8
    assert all(low <= tick <= high for tick in found)


def test_scale_maps_a_logarithmic_middle_to_the_middle():
    assert Scale(1, 100, log=True)(10) == pytest.approx(50)
    assert Scale(0, 10, 200, 100)(10) == 100


def test_numbers_are_short():
    assert [short(value) for value in (0.39, 950, 1_200, 3_100_000_000_000)] == [
        "0.39", "950", "1.2k", "3.1T",
    ]  # fmt: skip
    assert tick_value(0.6, ACCURACY) == "60 %"
    assert tick_value(-2.5, BITS) == "2.5"
