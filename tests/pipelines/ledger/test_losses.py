"""What steps take of each class: counted alike for any cut, and only where there are classes."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from corpus import make_rows
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ledger import losses
from pipelines.ledger.losses import SHOWN, Losses, LostRows
from pipelines.rows import KEY
from pipelines.rows.rows import Columns, Rows

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.booleans()), min_size=1, max_size=40
)


@given(ROWS, st.lists(st.integers(0, 40)), st.randoms(use_true_random=False))
def test_losses_are_the_same_for_any_cut_and_order(made, edges, random):
    labels, out = zip(*made, strict=True)
    rows = make_rows(label=pa.array(labels, pa.string()))
    whole = Losses()
    whole.count(rows, np.array(out))
    lost = Counter(label for label, gone in made if gone and label)
    assert {name: one.rows for name, one in whole.labels.items()} == lost
    parts = []
    bounds = sorted({0, len(made), *(edge for edge in edges if edge < len(made))})
    for start, stop in pairwise(bounds):
        part = Losses()
        part.count(rows.slice(start, stop - start), np.array(out[start:stop]))
        parts.append(part)
    random.shuffle(parts)
    merged = Losses()
    for part in parts:
        merged.add(part)
    assert merged == whole
    keys = rows.keys.tolist()
    for name, one in whole.labels.items():
        mine = [
            key for key, (label, gone) in zip(keys, made, strict=True) if gone and label == name
        ]
        assert one.keys == mine[:SHOWN]


def test_labels_go_by_the_text_they_are_stored_as():
    found = Losses()
    for labels in ([1, 2, None], [1.0, 2.5, None], ["1", "b", None], [None, None, None]):
        found.count(make_rows(label=labels), np.array([True, True, True]))
    assert {name: one.rows for name, one in found.labels.items()} == {
        "1": 3, "2": 1, "2.5": 1, "b": 1,
    }  # fmt: skip


@pytest.mark.parametrize("values", [[["a"]], [{"a": 1}], [b"a"]])
def test_what_holds_no_classes_is_not_counted(values):
    found = Losses()
    found.count(make_rows(label=values), np.array([True]))
    found.count(make_rows(text=["a"]), np.array([True]))
    assert found == Losses()


def test_derived_rows_are_not_rows_of_the_input():
    rows = make_rows(label=["a", "a"])
    table = rows.table.set_column(rows.table.column_names.index(KEY), KEY, pa.array([128, 129]))
    found = Losses()
    found.count(Rows(table, Columns(label="label")), np.array([True, True]))
    assert found.labels == {"a": LostRows(1, [128])}


def test_too_many_labels_are_not_counted(monkeypatch):
    monkeypatch.setattr(losses, "MOST_LABELS", 3)
    few, many = Losses(), Losses()
    few.count(make_rows(label=["a", "b"]), np.array([True, True]))
    many.count(make_rows(label=["c", "d"]), np.array([True, True]))
    few.add(many)
    assert few == Losses(many_labels=True)
    few.count(make_rows(label=["a"]), np.array([True]))
    assert few == Losses(many_labels=True)
