import numpy as np
import pyarrow as pa
import pytest
from made_rows import rows_of

from pipelines.rows import Columns, Rows, profile
from pipelines.rows.profile import Profile, ProfileCounts


def profile_of(*batches: Rows) -> Profile:
    made = Profile()
    for rows in batches:
        made.add(rows)
    return made


def labelled(labels: pa.Array) -> Rows:
    rows = rows_of(["x"] * len(labels)).replace("label", labels)
    return Rows(rows.table, Columns(text="text", label="label"))


def test_lengths_are_counted_in_half_octaves() -> None:
    found = profile_of(rows_of(["", None, "a", "ab", "abc", "é" * 4])).counts()
    assert found.histograms == {"characters": {-1: 2, 0: 1, 2: 1, 3: 1, 4: 1}}
    assert found.rows == 6


def test_profiles_add_up_however_rows_were_cut() -> None:
    rng = np.random.default_rng(0)
    texts = ["x" * int(n) for n in rng.integers(0, 5000, 200)]
    labels = pa.array([None if n == 0 else str(n) for n in rng.integers(0, 5, 200)])
    rows = labelled(labels).replace("text", pa.array(texts))
    whole = profile_of(rows).counts()
    parts = Profile()
    for start in range(0, 200, 60):
        part = profile_of(rows.slice(start, 60), rows.slice(0, 0)).counts()
        parts.merge(ProfileCounts.model_validate_json(part.model_dump_json()))
    assert parts.counts() == whole


@pytest.mark.parametrize(
    ("labels", "counted"),
    [
        (pa.array(["a", None, "None", "a"]), {"a": 2, "None": 1}),
        (pa.array([1, None, 1]), {"1": 2}),
        (pa.array([1.5, 2.0]), {"1.5": 1, "2": 1}),
        (pa.array([True, False]), {"false": 1, "true": 1}),
        (pa.array([["a"], None]), {}),
        (pa.array([b"\xff"]), {}),
        (pa.nulls(3), {}),
    ],
)
def test_labels_are_counted_as_the_text_they_would_be(
    labels: pa.Array, counted: dict[str, int]
) -> None:
    assert profile_of(labelled(labels)).counts().labels == counted


def test_too_many_labels_are_no_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "MOST_LABELS", 3)
    three, four = labelled(pa.array(["a", "b", "c"])), labelled(pa.array(["a", "d"]))
    assert profile_of(three).counts().labels == {"a": 1, "b": 1, "c": 1}
    for batches in ((three, four), (four, three), (three, four, three)):
        found = profile_of(*batches).counts()
        assert (found.labels, found.many_labels) == ({}, True)
    merged = profile_of(three)
    merged.merge(profile_of(four).counts())
    assert merged.counts().many_labels


def test_columns_that_cannot_be_what_they_are_called_are_not_measured() -> None:
    table = rows_of(["x"]).table.set_column(0, "text", pa.array([["not", "text"]]))
    table = table.append_column("image", pa.array([7]))
    found = profile_of(Rows(table, Columns(text="text", image="image"))).counts()
    assert found.histograms == {}
