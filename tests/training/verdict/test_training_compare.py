import json

import numpy as np
import pytest

from training.metrics import ACCURACY, BITS, metric_named
from training.result.result import Condition, Facts, Gap, Result
from training.verdict.compare import compare_scores
from training.verdict.verdict import sentence

ITEMS = 2000
TRIVIAL = (np.arange(ITEMS) < 0.25 * ITEMS).astype(float)
ARMS = {"raw": 0.70, "curated": 0.80, "random@n": 0.66, "random@n,class": 0.66, "aa": 0.70}


def scored(seeds=5, **accuracies):
    """Correctness of each arm and seed: a row is answered by all arms alike, up to accuracy."""
    rng = np.random.default_rng(0)
    hardness = rng.random(ITEMS)
    return {
        arm: (hardness + rng.normal(0, 0.02, (seeds, ITEMS)) < share).astype(float)
        for arm, share in {**ARMS, **accuracies}.items()
    }


def compared(seeds=5, facts=None, delta=0.01, **accuracies):
    return compare_scores(scored(seeds, **accuracies), baseline=TRIVIAL, delta=delta, facts=facts)


def guard(result, name):
    return next(guard for guard in result.guards if guard.name == name)


def test_better_needs_nothing_else():
    result = compared()
    assert result.verdict == "better"
    assert result.supported
    assert not result.refusals
    assert result.gap == pytest.approx(0.10, abs=0.02)
    assert result.ci95[0] < result.gap < result.ci95[1]
    assert "better than on raw" in result.sentence


def test_worse_is_said_as_plainly():
    result = compared(curated=0.60)
    assert result.verdict == "worse"
    assert not result.supported
    assert "is worse than on raw" in result.sentence


def test_equivalent_is_claimed_only_within_the_margin():
    assert compared(curated=0.701, delta=0.02).verdict == "equivalent within ±0.02"
    assert compared(curated=0.701, delta=0.002).verdict == "inconclusive"


def test_a_sure_but_negligible_gap_is_equivalence():
    result = compared(curated=0.72, delta=0.05)
    assert result.ci95[0] > 0
    assert result.verdict == "equivalent within ±0.05"


def test_off_zero_aa_voids_the_instrument():
    result = compared(aa=0.74)
    assert result.verdict == "invalid instrument"
    assert not guard(result, "A/A").passed
    assert "shows a gap" in result.sentence


def test_random_as_good_as_curated_is_explained_by_size():
    result = compared(**{"random@n": 0.82})
    assert result.verdict == "inconclusive"
    assert not result.supported
    assert result.refusals[0].startswith("Explained by size")
    assert result.sentence.startswith("Not supported. Explained by size")


def test_random_not_clearly_below_curated_refuses_too():
    result = compared(**{"random@n": 0.799})
    assert not result.supported
    assert "explained by size" in result.refusals[0].lower()


def test_class_matched_as_good_as_curated_is_explained_by_class_mix():
    result = compared(**{"random@n,class": 0.82})
    assert not result.supported
    assert result.refusals[0].startswith("Explained by class mix")


def test_controls_that_are_missing_are_not_ruled_out():
    table = scored()
    del table["random@n,class"]
    result = compare_scores(table, baseline=TRIVIAL)
    assert not result.supported
    assert "No arm rules out class mix." in result.refusals


def test_size_is_excused_where_curated_is_not_smaller():
    table = scored()
    del table["random@n"]
    facts = Facts(left_out={"random@n": "curated has as many rows"})
    assert compare_scores(table, baseline=TRIVIAL, facts=facts).verdict == "better"


def test_models_at_the_floor_void_the_instrument():
    everything = np.ones(ITEMS) * (np.arange(ITEMS) < 0.7 * ITEMS)
    result = compare_scores(scored(), baseline=everything)
    assert result.verdict == "invalid instrument"
    assert not guard(result, "floor, raw").passed
    assert guard(result, "floor, curated").passed


def test_fewer_than_three_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds: 2 given; at least 3"):
        compared(seeds=2)


def test_a_run_that_is_not_finite_voids_the_instrument(tmp_path):
    table = scored()
    table["curated"][1, 3] = np.nan
    result = compare_scores(table, baseline=TRIVIAL)
    assert result.verdict == "invalid instrument"
    assert result.gap is None
    assert "curated is missing or not finite" in result.sentence
    (tmp_path / "r.json").write_text(result.model_dump_json())
    assert Result.load(tmp_path / "r.json") == result


def test_a_diverged_loss_voids_the_instrument():
    assert compared(facts=Facts(losses={"aa": None})).verdict == "invalid instrument"


def test_a_changed_plan_refuses_and_says_exploratory():
    result = compared(facts=Facts(changed_plan="the plan changed after runs had finished: steps"))
    assert result.exploratory
    assert not result.supported
    assert "The plan changed after runs had finished: steps." in result.refusals


def test_too_little_power_is_exploratory_but_no_refusal():
    result = compared(facts=Facts(mde_before=0.05))
    assert result.exploratory
    assert result.supported
    assert "Exploratory: Before running" in result.sentence


def test_unequal_budgets_void_the_instrument():
    runs = [
        {"arm": arm, "seed": 0, "n_seen": seen, "device": "cpu", "torch": "2"}
        for arm, seen in (("raw", 1000), ("curated", 1002))
    ]
    result = compared(facts=Facts(runs=runs))
    assert result.verdict == "invalid instrument"
    assert "Budgets differ between arms" in result.sentence


def test_smoke_makes_no_claim():
    assert compared(facts=Facts(profile="smoke")).verdict == "invalid instrument"


def test_leaks_that_are_left_void_the_instrument():
    assert compared(facts=Facts(leaks_left=2)).verdict == "invalid instrument"


def test_only_secondary_comparisons_are_adjusted():
    result = compared()
    adjusted = {arm.name: arm.vs_raw and arm.vs_raw.p_holm for arm in result.arms}
    assert adjusted["curated"] is adjusted["aa"] is None
    assert adjusted["random@n"] >= next(
        arm.vs_raw.p for arm in result.arms if arm.name == "random@n"
    )


def test_shapes_and_arms_are_checked():
    table = scored()
    with pytest.raises(ValueError, match="arm aa is missing"):
        compare_scores({arm: table[arm] for arm in ("raw", "curated")}, baseline=TRIVIAL)
    with pytest.raises(ValueError, match="each arm needs the same"):
        compare_scores({**table, "aa": table["aa"][:, :-1]}, baseline=TRIVIAL)
    with pytest.raises(ValueError, match="baseline: shape"):
        compare_scores(table, baseline=TRIVIAL[:-1])


def test_what_a_trainer_of_ones_own_does_not_show_is_said():
    result = compared()
    because = [
        "No plan was written before the runs.",
        "No record of the runs shows that every arm saw as much.",
        "No leak check was made.",
    ]
    assert result.exploratory
    assert result.exploratory_because == because
    assert not any("plan was written before the first run" in g.detail for g in result.guards)
    assert result.sentence.endswith(" ".join(f"Exploratory: {reason}" for reason in because))


def test_what_is_shown_is_not_exploratory():
    runs = [
        {"arm": arm, "seed": seed, "n_seen": 1000, "device": "cpu", "torch": "2"}
        for arm in ARMS
        for seed in range(5)
    ]
    result = compared(facts=Facts(plan_hash="1f", leaks_left=0, runs=runs))
    assert guard(result, "plan").passed
    assert not result.exploratory
    assert "Exploratory" not in result.sentence


def test_detectable_gap_is_said_with_its_power():
    result = compared(curated=0.701, delta=0.002)
    assert "would have been found with 80 % power." in result.sentence


def test_sentence_comes_from_the_result_alone():
    result = compared(facts=Facts(notes=["synthetic noise"]))
    again = Result.model_validate(json.loads(result.model_dump_json()))
    assert sentence(again) == result.sentence
    assert result.sentence.endswith("Note: synthetic noise.")


def condition(kind, name, low, high):
    gap = Gap(
        name=name, gap=(low + high) / 2, ci95=(low, high), p=0.5, p_method="t", per_seed=[0.0]
    )
    return Condition(kind=kind, name=name, gap=gap)


@pytest.mark.parametrize("kind", ["size", "learning rate", "test"])
def test_a_sure_opposite_sign_elsewhere_refuses(kind):
    against = [condition(kind, "there", -0.09, -0.02)]
    result = compare_scores(scored(), baseline=TRIVIAL, conditions=against)
    assert not result.supported
    assert result.refusals == [
        f"The verdict depends on the {kind}: there −5.5 points (95 % CI −9.0 to −2.0)."
    ]
    assert result.sentence.startswith(f"Not supported. The verdict depends on the {kind}")


def test_an_opposite_sign_within_noise_is_said_and_does_not_refuse():
    result = compare_scores(
        scored(), baseline=TRIVIAL, conditions=[condition("size", "there", -0.09, 0.02)]
    )
    assert result.supported
    assert guard(result, "other sizes").detail.startswith("Within noise, the sign differs at")


def test_a_gain_at_every_condition_passes():
    result = compare_scores(
        scored(), baseline=TRIVIAL, conditions=[condition("test", "clean", 0.01, 0.02)]
    )
    assert guard(result, "other tests").passed
    assert result.supported


def test_decisions_that_other_rows_could_have_got_are_chance():
    result = compared(scrambled=0.81)
    assert not result.supported
    assert result.refusals[0].startswith("Explained by chance: the same decisions")


def test_as_many_random_bytes_explain_it_by_bytes():
    result = compared(**{"random@bytes": 0.81})
    assert not result.supported
    assert result.refusals[0].startswith("Explained by the number of bytes")


def test_a_shortened_training_and_a_late_test_are_exploratory():
    short = "The models were trained for 20 steps where their recipe takes 300 at least."
    late = "The test rows were taken out of raw after curation had seen them."
    result = compared(facts=Facts(shortened=short, carved_late=late))
    assert {short, late} <= set(result.exploratory_because)
    assert result.exploratory


def test_planted_defects_are_named_in_the_sentence():
    result = compared(facts=Facts(synthetic=["30 % of the labels were flipped at random"]))
    assert "Synthetic defects: 30 % of the labels were flipped at random." in result.sentence


def test_arms_of_other_recipes_and_budgets_are_not_held_to_the_budget():
    runs = [
        {"arm": arm, "seed": 0, "n_seen": seen, "device": "cpu", "torch": "2"}
        for arm, seen in (
            ("raw", 100), ("curated", 100), ("anti", 7), ("raw+warm", 9), ("curated@epochs", 50)
        )
    ]  # fmt: skip
    runs.append({"arm": "raw", "share": 0.5, "n_seen": 50, "device": "cpu", "torch": "2"})
    assert guard(compared(facts=Facts(runs=runs)), "budget").passed


def test_another_recipe_in_one_arm_voids_the_instrument():
    runs = [
        {"arm": arm, "seed": 0, "n_seen": 9, "device": "cpu", "torch": "2", "recipe": recipe}
        for arm, recipe in (("raw", "1f"), ("curated", "2e"))
    ]
    result = compared(facts=Facts(runs=runs))
    assert result.verdict == "invalid instrument"
    assert "The recipe differs between arms" in result.sentence


def test_runs_on_other_machinery_void_the_instrument():
    runs = [
        {"arm": "raw", "seed": 0, "n_seen": 100, "device": device, "torch": "2"}
        for device in ("cpu", "cuda")
    ]
    assert (
        "different machinery: cpu, torch 2; cuda, torch 2"
        in compared(facts=Facts(runs=runs)).sentence
    )


def test_bits_per_byte_are_weighted_by_bytes_and_said_as_bits():
    rng = np.random.default_rng(0)
    weights = rng.integers(10, 5_000, 400).astype(float)
    bits = {
        arm: -(level + rng.normal(0, 0.01, (5, 400)))
        for arm, level in (("raw", 2.5), ("curated", 2.4), ("random@n,class", 2.5), ("aa", 2.5))
    }
    result = compare_scores(
        bits,
        baseline=np.full(400, -5.0),
        metric="bits per byte",
        weights=weights,
        facts=Facts(left_out={"random@n": "same bytes"}),
    )
    assert result.supported
    wanted = np.average((bits["curated"] - bits["raw"]).mean(axis=0), weights=weights)
    assert result.gap == pytest.approx(wanted)
    assert "bits per byte 2.400 against 2.500, +0.099 bits per byte saved" in result.sentence
    assert guard(result, "size").passed


def test_metrics_are_written_plainly():
    assert ACCURACY.gap(0.081) == "+8.1 points"
    assert ACCURACY.gap(-0.0004) == "−0.04 points"
    assert ACCURACY.gap(0.0) == "0 points"
    assert ACCURACY.span((-0.012, 0.5)) == "−1.2 to +50.0"
    assert ACCURACY.value(0.6651) == "66.5 %"
    assert BITS.value(-2.5) == "2.500"
    assert BITS.gap(0.1) == "+0.100 bits per byte saved"
    assert metric_named("F1").gap(0.02) == "+0.0200 of F1"


def test_copies_that_cannot_be_traced_refuse():
    result = compared(facts=Facts(untraced_edits="Curated may hold changed copies."))
    assert not result.supported
    assert "Curated may hold changed copies." in result.refusals


def test_stopping_early_is_no_other_budget():
    runs = [
        {"arm": arm, "seed": 0, "n_seen": seen, "n_allowed": 100, "device": "cpu", "torch": "2"}
        for arm, seen in (("raw", 100), ("curated", 60))
    ]
    assert guard(compared(facts=Facts(runs=runs)), "budget").passed
