import numpy as np
import pytest

from training.design.arms import ARMS, Sources, arm_named, choose_arms
from training.pool.data import PoolRows


@pytest.fixture
def raw():
    return PoolRows(np.arange(100), np.repeat([0, 1, 2], [50, 30, 20]))


def sources(raw, curated, *, copies=None, sizes=None, **others):
    return Sources({"raw": raw, "curated": curated, **others}, copies, sizes)


def kept(raw, where):
    """Sources of a filter that keeps the raw rows at `where`."""
    copies = np.zeros(len(raw), np.int64)
    copies[where] = 1
    return sources(raw, raw.take(where), copies=copies)


def test_random_arm_has_curated_size_without_repeats(raw):
    drawn = ARMS["random@n"].rows(0, kept(raw, np.arange(40)))
    assert len(np.unique(drawn.x)) == len(drawn) == 40


def test_class_arm_has_curated_class_mix(raw):
    drawn = ARMS["random@n,class"].rows(0, kept(raw, np.r_[0:10, 50:75]))
    assert list(np.bincount(drawn.y, minlength=3)) == [10, 25, 0]
    assert len(np.unique(drawn.x)) == 35


def test_class_arm_repeats_rows_only_where_raw_has_too_few(raw):
    curated = PoolRows(np.arange(55), np.repeat([0, 2], [10, 45]))
    drawn = ARMS["random@n,class"].rows(0, sources(raw, curated))
    copies = np.bincount(drawn.x, minlength=100)[80:]
    assert list(np.bincount(drawn.y)) == [10, 0, 45]
    assert set(copies) == {2, 3}


def test_byte_arm_has_curated_bytes_to_within_a_row(raw):
    sizes = np.arange(1, 101)
    found = sources(raw, raw.take(np.arange(90, 100)), sizes=sizes)
    drawn = ARMS["random@bytes"].rows(0, found)
    wanted = sizes[90:].sum()
    assert wanted <= sizes[drawn.x].sum() < wanted + 100
    assert len(np.unique(drawn.x)) == len(drawn)


def test_scrambled_gives_the_same_fates_to_other_rows(raw):
    copies = np.r_[np.zeros(50), np.ones(30), np.full(20, 3)].astype(np.int64)
    found = sources(raw, raw.take(np.repeat(np.arange(100), copies)), copies=copies)
    drawn = ARMS["scrambled"].rows(0, found)
    times = np.bincount(drawn.x, minlength=100)
    assert list(np.bincount(times)) == [50, 30, 0, 20]
    assert not (times == copies).all()


def test_anti_is_what_curation_removed(raw):
    drawn = ARMS["anti"].rows(0, kept(raw, np.arange(40)))
    assert list(drawn.x) == list(range(40, 100))


def test_draws_repeat_for_a_seed_and_differ_between_seeds(raw):
    found = kept(raw, np.arange(40))
    first, again, other = (ARMS["random@n"].rows(s, found).x for s in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()


def test_attribution_arms_bring_their_random_twins(raw):
    half = raw.take(np.arange(50))
    found = kept(raw, np.arange(40))
    found = sources(raw, found.curated, copies=found.copies, **{"without:2.x": half})
    names = [arm.name for arm in choose_arms(found)[0]]
    assert names[-2:] == ["without:2.x", "random@without:2.x"]
    twin = arm_named("random@without:2.x").rows(0, found)
    assert len(np.unique(twin.x)) == len(twin) == 50
    assert list(arm_named("without:2.x").rows(0, found).x) == list(half.x)


def test_extra_recipes_and_oracle_join_only_where_asked_or_known(raw):
    found = kept(raw, np.arange(40))
    assert not {"oracle", "raw+warm"} & {arm.name for arm in choose_arms(found)[0]}
    found = sources(raw, found.curated, copies=found.copies, oracle=PoolRows(raw.x, raw.y[::-1]))
    names = {arm.name for arm in choose_arms(found, also=["warm"])[0]}
    assert {"oracle", "raw+warm", "curated+warm"} <= names
    assert "raw+augmented" not in names


def test_a_counting_model_needs_no_random_set_of_its_size(raw):
    found = kept(raw, np.arange(40))
    found = Sources(found.rows, found.copies, np.ones(100, np.int64))
    arms, left_out = choose_arms(found, one_pass=True)
    assert "same bytes" in left_out["random@n"]
    assert {"raw@epochs", "curated@epochs"} <= {arm.name for arm in arms}


def test_arms_that_cannot_be_drawn_are_left_out_with_a_reason(raw):
    _, left_out = choose_arms(sources(raw, raw), untraced="no ids")
    assert "no smaller random set" in left_out["random@n"]
    assert left_out["scrambled"] == left_out["anti"] == "no ids"
    _, left_out = choose_arms(kept(raw, np.arange(60)))
    assert left_out["anti"] == "curation removed 40 rows: too few to train on"
    assert "scrambled" not in left_out
    _, left_out = choose_arms(kept(raw, np.arange(100)))
    assert "no decision to permute" in left_out["scrambled"]
    _, left_out = choose_arms(sources(raw, PoolRows(np.arange(2), np.array([0, 9]))))
    assert left_out["random@n,class"] == "raw has no row of 1 of curated's classes"


def test_an_unknown_arm_is_explained():
    with pytest.raises(ValueError, match="arm: 'best' given; allowed: raw, curated"):
        arm_named("best")


def test_sources_are_read_back_as_written(raw, tmp_path):
    found = kept(raw, np.arange(40))
    found.save(tmp_path)
    again = Sources.load(tmp_path)
    assert list(again.rows) == ["raw", "curated"]
    assert (again.curated.x == found.curated.x).all()
    assert (again.copies == found.copies).all()
    assert again.sizes is None
