"""Exact duplicates: what is compared, what is ignored, which row is kept."""

import datetime
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from corpus import cuts, decide, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows import MissingColumn
from pipelines.steps.dedup.exact_dedup import ExactDedup, digests, fold, groups_of_equals


def dropped(step, rows, tmp_path) -> dict[str, str]:
    return {i: v.other for i, v in decide(step, rows, tmp_path).items()}


TEXTS = st.lists(st.one_of(st.none(), st.text("ab", max_size=3)), min_size=1, max_size=30)


@settings(max_examples=50)
@given(TEXTS, cuts(10), st.data(), st.integers(0, 9))
def test_exact_dedup_keeps_one_of_each_for_any_cut_and_order(
    tmp_path_factory, texts, cut, data, arrival
):
    order = data.draw(st.permutations(range(len(texts))))
    rows = make_rows(text=pa.array(texts, pa.string()), order=order)
    found = decide(ExactDedup(), rows, tmp_path_factory.getbasetemp(), cut, arrival=arrival)
    groups = defaultdict(list)
    for i, text in enumerate(texts):
        groups[text].append(f"r{i:05d}")
    expected = {name: ids[0] for ids in groups.values() for name in ids[1:]}
    assert {i: v.other for i, v in found.items()} == expected
    for verdict in found.values():
        assert (verdict.reason, verdict.value, verdict.detail) == ("duplicate", 1.0, None)


VARIANTS = ["A b", " a \n\u00a0 b\t", "a, b!", "«a» b", "$a b+", "A - b"]


@pytest.mark.parametrize(
    ("ignore", "same"),
    [
        ((), {"a b"}),
        (("case",), {"a b", "A b"}),
        (("space",), {"a b", " a \n\u00a0 b\t"}),
        (("punctuation",), {"a b", "a, b!", "«a» b", "$a b+"}),
        (
            ("case", "space", "punctuation"),
            {"a b", "A b", " a \n\u00a0 b\t", "a, b!", "«a» b", "$a b+", "A - b"},
        ),
    ],
)
def test_exact_dedup_ignores_what_it_is_told_to(tmp_path, ignore, same):
    others = [
        "ab",
        "a b 👍",
        "a b 👎",
        "A b",
        " a \n\u00a0 b\t",
        "a, b!",
        "«a» b",
        "$a b+",
        "A - b",
    ]
    texts = ["a b", "a b", *others]
    found = dropped(ExactDedup(ignore=ignore), make_rows(text=texts), tmp_path)
    joined = {*found, *found.values()}
    assert {texts[int(i[1:])] for i in joined} == same


def test_exact_dedup_compares_texts_of_nothing_but_what_is_ignored_as_they_stand(tmp_path):
    texts = ["...", "!?", "...", "", None]
    step = ExactDedup(ignore=("punctuation", "space"))
    assert dropped(step, make_rows(text=texts), tmp_path) == {"r00002": "r00000"}


def test_exact_dedup_tells_null_from_empty_and_holds_nulls_equal(tmp_path):
    texts = pa.array([None, "", None, ""])
    expected = {"r00002": "r00000", "r00003": "r00001"}
    assert dropped(ExactDedup(), make_rows(text=texts), tmp_path) == expected


def test_exact_dedup_on_columns_needs_all_of_them_equal(tmp_path):
    day = datetime.date(2026, 1, 1)
    rows = make_rows(
        text=["x"] * 6,
        title=["a", "a", "a", None, None, "ab"],
        site=["bc", "bc", "b", "b", "b", "c"],
        day=[day] * 6,
        tags=[[1], [1], [1], [], [], [1]],
    )
    step = ExactDedup(columns=("title", "site", "day", "tags"))
    assert dropped(step, rows, tmp_path) == {"r00001": "r00000", "r00004": "r00003"}


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_exact_dedup_knows_a_text_in_another_type(kind):
    plain = make_rows(text=pa.array(["a", "b", None]))
    other = make_rows(text=pa.array(["a", "b", None]).cast(kind))
    step = ExactDedup(columns=("text",))
    for half in ("high", "low"):
        assert step.sign(plain, None)[half].equals(step.sign(other, None)[half])


def test_exact_dedup_of_images_goes_by_their_bytes(tmp_path):
    images = [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate([b"x", b"y", b"x"])]
    assert dropped(ExactDedup(), make_rows(image=images), tmp_path) == {"r00002": "r00000"}


def test_exact_dedup_keeps_the_preferred_then_the_longest_then_the_smallest_id(tmp_path):
    rows = make_rows(ids=["d", "c", "b", "a"], text=["x", "x ", "x ", "x"], score=[5, None, 1, 5])
    step = ExactDedup(ignore=("space",))
    assert set(dropped(step, rows, tmp_path).values()) == {"b"}
    preferring = step.model_copy(update={"prefer": "score"})
    assert set(dropped(preferring, rows, tmp_path).values()) == {"a"}


def test_exact_dedup_keeps_the_earliest_or_the_smallest_id_or_the_first_source(tmp_path):
    rows = make_rows(
        ids=["c", "b", "a", "d"],
        text=["x", "x ", "x  ", "x"],
        source=["web", None, "books", "books"],
    )

    def kept(**options) -> set[str]:
        step = ExactDedup(ignore=("space",), **options)
        return set(dropped(step, rows, tmp_path).values())

    assert kept() == {"a"}
    assert kept(keep="earliest") == {"c"}
    assert kept(keep="smallest_id") == {"a"}
    assert kept(prefer="source", order=["wiki", "books"], keep="earliest") == {"a"}
    assert kept(prefer="source", order=["web", "books"]) == {"c"}


def test_exact_dedup_without_anything_to_compare_condemns_the_recipe():
    with pytest.raises(MissingColumn, match="text or image"):
        ExactDedup().sign(make_rows(v=[1]), None)


def test_fold_leaves_null_null():
    assert fold(pa.array([None, "A"]), ["case", "space", "punctuation"]).to_pylist() == [None, "a"]


@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=20), st.integers(0, 5))
def test_digests_are_equal_for_equal_values_alone(values, start):
    array = pa.array(values, pa.string()).slice(start)
    high, low = digests([array])
    pairs = list(zip(high.tolist(), low.tolist(), strict=True))
    assert len(set(pairs)) == len(set(array.to_pylist()))
    assert len(set(zip(pairs, array.to_pylist(), strict=True))) == len(set(pairs))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_groups_of_equals_number_what_is_repeated(values):
    high = np.array([h for h, _ in values], dtype=np.uint64)
    low = np.array([w for _, w in values], dtype=np.uint64)
    groups = groups_of_equals(high, low).tolist()
    assert [g >= 0 for g in groups] == [values.count(v) > 1 for v in values]
    met = {(g, v) for g, v in zip(groups, values, strict=True) if g >= 0}
    assert len({g for g, _ in met}) == len({v for _, v in met}) == len(met)
