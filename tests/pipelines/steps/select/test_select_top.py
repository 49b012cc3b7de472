"""Selection under a budget: exact against a sort of all rows, whatever the cut into shards."""

import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from corpus import WHOLE_CUT, MemorySite, cuts, decide, decide_and_note, make_rows, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.exchange.mail import MEASURE, open_mail, run_rounds
from pipelines.rows import MissingColumn
from pipelines.rows.chance import Chance
from pipelines.steps.select.sample import Sample
from pipelines.steps.select.select_top import SelectTop

ROWS = 120
LOT = np.random.default_rng(5)
SCORES = [
    [0.5, -1.0, None, math.nan, math.inf, 3.0, 3.0, x][i % 8]
    for i, x in enumerate(LOT.random(ROWS))
]
GROUPS = [["a", "b", None, "", "(null)", "a"][i] for i in LOT.integers(0, 6, ROWS)]
WORDS = LOT.integers(0, 9, ROWS).tolist()


def made(order=None):
    return make_rows(
        text=[" ".join(["word"] * n) for n in WORDS],
        score=pa.array(SCORES, pa.float64()),
        group=pa.array(GROUPS, pa.string()),
        order=order,
    )


def expected(step, by_score, group, seed=0):
    """Return the ids that a sort of all rows keeps."""
    rows = made()
    hashes = Chance(seed, 1).hashes(rows.ids).tolist()
    sign = -1 if getattr(step, "order", "highest") == "lowest" else 1

    def rank(i):
        score = SCORES[i] if by_score else 0
        missing = score is None or math.isnan(score)
        return missing, 0 if missing else -sign * score, hashes[i]

    groups = defaultdict(list)
    for i in sorted(range(ROWS), key=rank):
        groups[GROUPS[i] if group else 0].append(i)
    kept = set()
    for members in groups.values():
        if step.tokens is not None:
            spent = np.cumsum([WORDS[i] for i in members])
            size = int((spent <= step.tokens).sum())
        else:
            size = step.rows if step.rows is not None else round(step.fraction * len(members))
        kept |= {f"r{i:05d}" for i in members[:size]}
    return kept


def kept(step, work, cut=WHOLE_CUT, order=None, seed=0, arrival=0):
    gone = decide(step, made(order), work, cut, seed, arrival)
    return {f"r{i:05d}" for i in range(ROWS)} - set(gone)


BUDGETS = st.one_of(
    st.integers(1, ROWS + 9).map(lambda n: {"rows": n}),
    st.floats(0.001, 1).map(lambda x: {"fraction": x}),
    st.integers(1, 700).map(lambda n: {"tokens": n}),
)


@settings(max_examples=80)
@given(
    BUDGETS,
    st.sampled_from(["highest", "lowest"]),
    st.sampled_from([None, "group"]),
    cuts(60),
    st.permutations(range(ROWS)),
    st.integers(0, 9),
)
def test_select_top_keeps_the_best_of_each_group(
    tmp_path_factory, budget, order, per, cut, at, arrival
):
    step = SelectTop(by="score", order=order, per=per, **budget)
    work = tmp_path_factory.getbasetemp()
    assert kept(step, work, cut, at, arrival=arrival) == expected(step, True, per is not None)


@settings(max_examples=40)
@given(BUDGETS, st.sampled_from([None, "group"]), cuts(60), st.integers(0, 3))
def test_sample_keeps_the_smallest_hashes_of_each_group(tmp_path_factory, budget, by, cut, seed):
    step = Sample(by=by, **budget)
    work = tmp_path_factory.getbasetemp()
    assert kept(step, work, cut, seed=seed) == expected(step, False, by is not None, seed)


def test_samples_of_words_are_nested_and_spend_no_more_than_the_budget(tmp_path):
    before: set[str] = set()
    for tokens in (1, 20, 100, 300, 10_000):
        stays = kept(Sample(tokens=tokens), tmp_path)
        assert before <= stays
        assert sum(WORDS[int(i[1:])] for i in stays) <= tokens
        before = stays
    assert len(before) == ROWS


def test_select_top_says_what_a_row_scored_and_what_was_kept(tmp_path):
    rows = make_rows(score=[1, 5, 3, None, 4], group=["a", "a", "a", None, "a"])
    found = decide(SelectTop(by="score", rows=2), rows, tmp_path)
    assert {(i, v.reason, v.value, v.threshold, v.detail) for i, v in found.items()} == {
        ("r00000", "not_selected", 1.0, 4.0, None),
        ("r00002", "not_selected", 3.0, 4.0, None),
        ("r00003", "not_selected", None, 4.0, None),
    }
    lowest = decide(SelectTop(by="score", order="lowest", rows=2), rows, tmp_path)
    assert lowest["r00001"][1:3] == (5.0, 3.0)
    nothing = decide(SelectTop(by="score", fraction=0.01), rows, tmp_path)
    assert [v.threshold for v in nothing.values()] == [None] * 5
    groups = decide(SelectTop(by="score", fraction=0.5, per="group"), rows, tmp_path)
    assert {(i, v.threshold, v.detail) for i, v in groups.items()} == {
        ("r00000", 4.0, "2 of 4 rows kept"),
        ("r00002", 4.0, "2 of 4 rows kept"),
        ("r00003", None, "0 of 1 rows kept"),
    }


def test_sample_has_no_score_to_show(tmp_path):
    found = decide(Sample(rows=1), make_rows(text=["x", "y"]), tmp_path)
    assert [v[:3] for v in found.values()] == [("not_sampled", None, None)]


def test_rows_of_one_id_and_score_go_by_where_they_stand(tmp_path):
    rows = make_rows(ids=["same"] * 4, n=[0, 1, 2, 3])
    held = shards_of(rows, ((1, 1), (1,)))
    verdicts = _messages(Sample(rows=3), held, tmp_path)
    keys = [
        k for _, mail in verdicts if "verdict" in mail for k in mail["verdict"]["_key"].to_pylist()
    ]
    assert keys == [int(rows.keys[3])]


def _messages(step, held, work):
    """Return what is left after the last round, opened."""
    site = MemorySite(str(work), "0", Chance(0, 1), len(held), held=held)
    mail = []
    for number, batches in held.items():
        signed = pa.concat_tables([step.sign(batch, site.chance) for batch in batches])
        mail += step.send(signed, number, len(held))
    return [(to, open_mail([payload])) for to, payload in run_rounds(mail, step.rounds(site))]


def measured(step, work, cut=((7, 9), (30,))):
    figures = defaultdict(float)
    for _, mail in _messages(step, shards_of(made(), cut), work):
        for line in mail.get(MEASURE, pa.table({})).to_pylist():
            assert line["step"] == 1
            figures[line["name"]] += line["value"]
    return dict(figures)


def test_selection_states_its_budget(tmp_path):
    step = SelectTop(by="score", rows=30, per="group")
    sizes = [GROUPS.count(group) for group in set(GROUPS)]
    rows = sum(min(30, n) for n in sizes)
    figures = {"groups": 5, "budget_rows": 150, "available_rows": ROWS, "kept_rows": rows}
    assert measured(step, tmp_path) == figures
    assert step.in_words(figures) == f"kept {rows} of 120 rows, budget 150, 5 groups"

    step = SelectTop(by="score", tokens=77)
    stays = expected(step, True, False)
    words = sum(WORDS[int(i[1:])] for i in stays)
    assert measured(step, tmp_path) == {
        "groups": 1,
        "budget_tokens": 77,
        "available_tokens": sum(WORDS),
        "kept_tokens": words,
        "available_rows": ROWS,
        "kept_rows": len(stays),
    }
    assert step.in_words(measured(step, tmp_path)) == (
        f"kept {words} of {sum(WORDS)} tokens, budget 77, in {len(stays)} of 120 rows"
    )


def test_selection_notes_groups_that_have_too_little_or_a_first_text_too_long(tmp_path):
    rows = make_rows(group=["a", "a", "b", None], text=["x"] * 4)
    assert decide_and_note(Sample(rows=2, by="group"), rows, tmp_path) == ({}, 2)
    rows = make_rows(score=[2, 1], text=["one two three", "one"])
    gone, noted = decide_and_note(SelectTop(by="score", tokens=2), rows, tmp_path)
    assert (set(gone), noted) == ({"r00000", "r00001"}, 1)


def test_selection_moves_few_rows_besides_the_ranking(tmp_path):
    n = 20_000
    rows = make_rows(score=np.arange(n) % 3, order=LOT.permutation(n))
    step = SelectTop(by="score", rows=n // 2)
    held = shards_of(rows, ((n // 2,),))
    site = MemorySite(str(tmp_path), "0", Chance(0, 1), 2, held=held)
    mail = []
    for number, batches in held.items():
        mail += step.send(pa.concat_tables([step.sign(b, site.chance) for b in batches]), number, 2)
    bytes_of = []
    for part in step.rounds(site)[:-1]:
        mail = run_rounds(mail, [part])
        bytes_of.append(sum(len(payload) for _, payload in mail))
    assert max(bytes_of) < n * 40 / 10


def test_many_groups_are_selected_from(tmp_path):
    n = 30_000
    rows = make_rows(group=pa.array([str(i // 3) for i in range(n)]), score=np.arange(n) % 3)
    found = decide(SelectTop(by="score", rows=2, per="group"), rows, tmp_path, ((10_000, 9000),))
    assert set(found) == {f"r{i:05d}" for i in range(0, n, 3)}


@pytest.mark.parametrize(
    "options", [{}, {"rows": 1, "tokens": 1}, {"fraction": 1.5}, {"tokens": 0}]
)
def test_selection_wants_one_budget(options):
    with pytest.raises(ValidationError):
        SelectTop(by="score", **options)


@pytest.mark.parametrize(
    "options", [{"by": "nowhere"}, {"by": "text"}, {"by": "n", "per": "nowhere"}]
)
def test_select_top_by_what_is_no_number_condemns_the_recipe(tmp_path, options):
    rows = make_rows(text=["x"], n=[1])
    with pytest.raises(MissingColumn):
        decide(SelectTop(rows=1, **options), rows, tmp_path)


def test_selection_names_its_columns_and_needs_a_text_for_words_alone():
    step = SelectTop(by="score", per="label", rows=1)
    assert step.names() == [("by", "score"), ("per", "label")]
    assert (step.roles(), SelectTop(by="score", tokens=1).roles()) == ((), ("text",))
