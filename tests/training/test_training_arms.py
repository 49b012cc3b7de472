import numpy as np
import pytest

from training.arms import ARMS, choose_arms
from training.data import Rows


@pytest.fixture
def raw():
    return Rows(np.arange(100), np.repeat([0, 1, 2], [50, 30, 20]))


def test_random_arm_has_curated_size_without_repeats(raw):
    curated = raw.take(np.arange(40))
    drawn = ARMS["random@n"].rows(0, raw, curated)
    assert len(np.unique(drawn.x)) == len(drawn) == 40


def test_class_arm_has_curated_class_mix(raw):
    curated = raw.take(np.r_[0:10, 50:75])
    drawn = ARMS["random@n,class"].rows(0, raw, curated)
    assert list(np.bincount(drawn.y, minlength=3)) == [10, 25, 0]
    assert len(np.unique(drawn.x)) == 35


def test_class_arm_repeats_rows_only_where_raw_has_too_few(raw):
    curated = Rows(np.arange(55), np.repeat([0, 2], [10, 45]))
    drawn = ARMS["random@n,class"].rows(0, raw, curated)
    copies = np.bincount(drawn.x, minlength=100)[80:]
    assert list(np.bincount(drawn.y)) == [10, 0, 45]
    assert set(copies) == {2, 3}


def test_draws_repeat_for_a_seed_and_differ_between_seeds(raw):
    curated = raw.take(np.arange(40))
    first, again, other = (ARMS["random@n"].rows(s, raw, curated).x for s in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()


def test_arms_that_cannot_be_drawn_are_left_out_with_a_reason(raw):
    _, left_out = choose_arms(raw, raw)
    assert "no smaller random set" in left_out["random@n"]
    assert set(left_out) == {"random@n", "curated@epochs"}
    _, left_out = choose_arms(raw, Rows(np.arange(2), np.array([0, 9])))
    assert left_out == {"random@n,class": "raw has no row of 1 of curated's classes"}
