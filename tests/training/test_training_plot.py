from xml.etree import ElementTree

import pytest

from training.plot import Line, class_bars, forest, tick_step
from training.result import ClassShare


def test_forest_is_well_formed_with_a_dot_for_each_seed():
    lines = [
        Line("curated", 1.0, 0.5, 1.5, [0.9, 1.1, 1.0], strong=True, group="a < b"),
        Line("aa", 0.0, -0.2, 0.2, [0.1, -0.1, 0.0], group="a < b"),
    ]
    drawn = ElementTree.fromstring(forest(lines, margin=1.0))
    assert len(drawn.findall("circle")) == 6
    assert [text.text for text in drawn.findall("text")].count("a < b") == 1


@pytest.mark.parametrize("reach", [0.003, 0.4, 1.0, 9.9, 77.0])
def test_ticks_are_few_and_round(reach):
    assert 1 < reach / tick_step(reach) <= 5.0000001


def test_class_bars_show_the_most_shifted_first():
    classes = [ClassShare(name=f"c{i}", raw=0.1, curated=0.1 + i / 100, test=0.1) for i in range(9)]
    drawn = ElementTree.fromstring(class_bars(classes, most=3))
    labels = [text.text for text in drawn.findall("text")]
    assert labels[0::2] == ["c8", "c7", "c6"]


def test_forest_of_identical_runs_is_drawn():
    assert "svg" in forest([Line("aa", 0.0, 0.0, 0.0, [0.0, 0.0])], margin=1.0)
