"""Random samples: exact sizes, nested, stratified, the same for any cut and order."""

from collections import Counter
from functools import cache

import pyarrow as pa
import pytest
from corpus import cuts, decide, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.rows import MissingColumn
from pipelines.steps.select.sample import Sample

LABELS = [("a", "b", None, "(null)")[min(i % 7, 3)] for i in range(200)]


def kept(step, tmp_path, cut=((300,),), order=None, seed=0, arrival=0) -> set[str]:
    rows = make_rows(text=["x"] * 200, label=pa.array(LABELS, pa.string()), order=order)
    found = decide(step, rows, tmp_path, cut, seed, arrival)
    assert {v.reason for v in found.values()} <= {"not_sampled"}
    return {f"r{i:05d}" for i in range(200)} - set(found)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"rows": 1}, 1),
        ({"rows": 57}, 57),
        ({"rows": 200}, 200),
        ({"rows": 9999}, 200),
        ({"fraction": 0.25}, 50),
        ({"fraction": 0.333}, 67),
        ({"fraction": 1.0}, 200),
        ({"fraction": 0.001}, 0),
    ],
)
def test_sample_has_the_size_asked_for(tmp_path, options, size):
    assert len(kept(Sample(**options), tmp_path)) == size


def test_sample_of_the_same_seed_holds_the_smaller_one_and_another_seed_differs(tmp_path):
    small, large = kept(Sample(rows=20), tmp_path), kept(Sample(fraction=0.3), tmp_path)
    assert small < large
    assert kept(Sample(rows=20), tmp_path, seed=1) != small


@pytest.mark.parametrize(("options", "share"), [({"rows": 10}, None), ({"fraction": 0.5}, 0.5)])
def test_sample_by_a_column_takes_each_value_alike_and_null_is_one(tmp_path, options, share):
    stays = kept(Sample(by="label", **options), tmp_path)
    sizes = Counter(LABELS)
    assert len(sizes) == 4
    expected = {v: round(share * n) if share else min(10, n) for v, n in sizes.items()}
    assert Counter(LABELS[int(i[1:])] for i in stays) == expected


@cache
def reference(work: str, by: str | None) -> set[str]:
    return kept(Sample(fraction=0.4, by=by), work)


@settings(max_examples=30)
@given(cuts(100), st.permutations(range(200)), st.sampled_from([None, "label"]), st.integers(0, 9))
def test_sample_does_not_depend_on_cut_order_or_arrival(tmp_path_factory, cut, order, by, arrival):
    work = str(tmp_path_factory.getbasetemp())
    found = kept(Sample(fraction=0.4, by=by), work, cut, order, arrival=arrival)
    assert found == reference(work, by)


@pytest.mark.parametrize("options", [{}, {"rows": 1, "fraction": 0.5}, {"rows": 0}])
def test_sample_wants_one_size(options):
    with pytest.raises(ValidationError):
        Sample(**options)


@pytest.mark.parametrize("by", ["nowhere", "tags"])
def test_sample_by_a_column_without_values_condemns_the_recipe(tmp_path, by):
    with pytest.raises(MissingColumn, match=by):
        decide(Sample(rows=1, by=by), make_rows(text=["x"], tags=[["a"]]), tmp_path)
