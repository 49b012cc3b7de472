import numpy as np
import pytest

from training.metrics import ACCURACY
from training.verdict.attribution import worth_of_steps

ITEMS = 2000


def tables(seeds=5, **accuracies):
    rng = np.random.default_rng(0)
    hardness = rng.random(ITEMS)
    return {
        arm: (hardness + rng.normal(0, 0.02, (seeds, ITEMS)) < share).astype(float)
        for arm, share in accuracies.items()
    }


BASE = {"raw": 0.70, "curated": 0.80, "random@n": 0.69}


def worth(step="1.x", delta=0.01, **arms):
    return worth_of_steps(tables(**BASE, **arms), delta, {step: 12}, ACCURACY)


def test_a_step_whose_removal_costs_quality_earns_its_keep():
    [step] = worth(**{"without:1.x": 0.74, "random@without:1.x": 0.695, "only:1.x": 0.76,
                      "random@only:1.x": 0.69})  # fmt: skip
    assert step.verdict == "earns its keep"
    assert step.without.gap == pytest.approx(0.06, abs=0.02)
    assert step.only_net.gap == pytest.approx(0.07, abs=0.02)
    assert step.dropped == 12
    assert "Leaving it out changes accuracy by −5.9" in step.says
    assert step.says.endswith("it earns its keep.")


def test_a_step_whose_removal_gains_is_to_be_removed():
    [step] = worth(**{"without:1.x": 0.86})
    assert step.verdict == "harms"
    assert step.says.endswith("remove it.")


def test_a_step_worth_nothing_can_go():
    [step] = worth(delta=0.03, **{"without:1.x": 0.80})
    assert step.verdict == "can go"
    assert step.says.endswith("worth less than 3.0 points: it can go.")


def test_a_step_that_only_changes_size_does_not_earn_its_keep():
    [step] = worth(**{"without:1.x": 0.74, "random@without:1.x": 0.60})
    assert step.without.gap > 0.03
    assert step.without_net.gap < 0
    assert step.verdict == "not shown to matter"
    assert step.says.endswith("explained by size.")


def test_many_steps_are_adjusted_together():
    arms = {f"without:{n}.x": 0.795 for n in range(8)}
    lone = worth_of_steps(tables(**BASE, **{"without:0.x": 0.795}), 0.0001, {}, ACCURACY)
    many = worth_of_steps(tables(**BASE, **arms), 0.0001, {}, ACCURACY)
    assert len(many) == 8
    assert lone[0].without.p < many[0].without.p * 8
    assert lone[0].says.split("p ")[1] != many[0].says.split("p ")[1]


def test_without_attribution_arms_there_is_none():
    assert worth_of_steps(tables(**BASE), 0.01, {}, ACCURACY) == []


def test_six_seeds_can_tell_two_steps():
    arms = {f"without:{n}.x": 0.74 for n in range(2)}
    found = worth_of_steps(tables(seeds=6, **BASE, **arms), 0.01, {}, ACCURACY)
    assert {step.verdict for step in found} == {"earns its keep"}
