import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from text_rows import cut, text_rows

from pipelines.rows import SPLIT, MissingColumn
from pipelines.rows.chance import Chance
from pipelines.steps.rows.split import Split

CHANCE = Chance(3, 1)


def splits_of(step, rows, chance=CHANCE):
    return np.array(step.apply(rows, chance).table[SPLIT].to_pylist())


def test_split_meets_its_shares():
    names = splits_of(
        Split(shares={"train": 0.8, "validation": 0.15, "test": 0.05}), text_rows(["x"] * 10_000)
    )
    assert set(names) == {"train", "validation", "test"}
    # four standard deviations of a binomial
    for name, share in (("train", 0.8), ("validation", 0.15), ("test", 0.05)):
        assert abs((names == name).mean() - share) < 4 * np.sqrt(share * (1 - share) / 10_000)


@given(st.lists(st.integers(0, 40), max_size=9))
def test_split_does_not_depend_on_batches(sizes):
    rows = text_rows(["x"] * 100)
    parts = [splits_of(Split(), part) for part in cut(rows, sizes)]
    assert np.concatenate(parts).tolist() == splits_of(Split(), rows).tolist()


def test_split_depends_on_the_seed():
    rows = text_rows(["x"] * 200)
    step = Split(shares={"a": 0.5, "b": 0.5})
    assert splits_of(step, rows).tolist() != splits_of(step, rows, Chance(4, 1)).tolist()


@pytest.mark.parametrize("type", [pa.string(), pa.int64()])
def test_split_keeps_groups_together(type):
    groups = pa.array([str(i % 50) for i in range(1000)]).cast(type)
    rows = text_rows(["x"] * 1000, author=groups)
    names = splits_of(Split(shares={"train": 0.5, "test": 0.5}, group="author"), rows)
    assert set(names) == {"train", "test"}
    for group in range(50):
        assert len(set(names[np.arange(1000) % 50 == group])) == 1


@pytest.mark.parametrize("number", [7, 10**16])
def test_split_of_a_group_does_not_depend_on_its_type(number):
    step = Split(shares={f"s{i}": 0.01 for i in range(100)}, group="author")
    found = {
        splits_of(step, text_rows(["x"], author=[kind(number)]))[0] for kind in (int, float, str)
    }
    assert len(found) == 1


def test_split_puts_rows_without_a_group_anywhere():
    rows = text_rows(["x"] * 200, author=pa.nulls(200, pa.string()))
    step = Split(shares={"train": 0.5, "test": 0.5}, group="author")
    by_id = Split(shares={"train": 0.5, "test": 0.5})
    assert splits_of(step, rows).tolist() == splits_of(by_id, rows).tolist()


def test_split_names_a_missing_group_column():
    with pytest.raises(MissingColumn, match="no group 'author'"):
        splits_of(Split(group="author"), text_rows(["x"]))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "at least one split"),
        ({"train": 0.9, "test": 0.2}, "add up to 1.1"),
        ({"train": 1.0, "test": 0.0}, "above 0"),
        ({"my-train": 1.0}, "'my-train' is not allowed"),
        ({"all": 1.0}, "every split"),
        ({"_curate": 1.0}, "'_curate' is not allowed"),
        ({"_": 1.0}, "'_' is not allowed"),
        ({"README.md": 1.0}, "'README.md' is not allowed"),
        ({"readme.md": 1.0}, "'readme.md' is not allowed"),
        ({"dataset_dict.json": 1.0}, "'dataset_dict.json' is not allowed"),
        ({"a/b": 1.0}, "'a/b' is not allowed"),
        ({"..": 1.0}, "'..' is not allowed"),
        ({"train": 0.5, "Train": 0.5}, "differ in case alone"),
    ],
)
def test_split_refuses_shares_that_do_not_fit(shares, message):
    with pytest.raises(ValidationError, match=message):
        Split(shares=shares)


def test_split_takes_shares_that_add_up_but_for_rounding():
    shares = {f"s{i}": 0.1 for i in range(10)}
    assert set(splits_of(Split(shares=shares), text_rows(["x"] * 500))) == set(shares)
