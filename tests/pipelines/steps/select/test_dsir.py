"""DSIR: the target's topic is chosen, weights are those of one pass over all, sizes are exact."""

import gzip
import json
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus import WHOLE_CUT, cuts, decide, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.exchange.mail import open_mail, run_rounds
from pipelines.listings import NoInput
from pipelines.maths.sets.importance import bucket_counts, gumbel, log_ratios, log_weights
from pipelines.maths.text.tokens import tokenize
from pipelines.readers import Source
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import Site
from pipelines.steps.select.dsir import Dsir, target_counts

ROWS = 120
SAILING = ["sail", "wind", "boat", "harbour", "mast", "tide"]
BAKING = ["oven", "flour", "butter", "yeast", "dough", "salt"]


def target_source(path: str, text: str | None) -> Source:
    return Dsir(target=path, target_text=text, rows=1).source()


def text(baking, lot):
    common = ["the", "a", "of", "and"]
    return " ".join(lot.choice((BAKING if baking else SAILING) + common, lot.integers(5, 15)))


@cache
def texts():
    lot = np.random.default_rng(3)
    return [text(i % 3 == 0, lot) for i in range(ROWS - 2)] + ["", "!"]


@pytest.fixture(scope="session")
def target(tmp_path_factory):
    """Return a file of 30 texts on baking: the topic of every third row."""
    path = tmp_path_factory.mktemp("target") / "target.jsonl"
    lot = np.random.default_rng(4)
    path.write_text("".join(json.dumps({"text": text(True, lot)}) + "\n" for _ in range(30)))
    return str(path)


def kept(step, work, cut=WHOLE_CUT, order=None, seed=0, arrival=0):
    gone = decide(step, make_rows(text=texts(), order=order), work, cut, seed, arrival)
    return {f"r{i:05d}" for i in range(ROWS)} - set(gone)


def test_dsir_chooses_the_topic_of_the_target(tmp_path, target):
    baking = {f"r{i:05d}" for i in range(0, ROWS - 2, 3)}
    assert kept(Dsir(target=target, rows=len(baking), noise=False), tmp_path) == baking
    assert len(kept(Dsir(target=target, rows=30), tmp_path) & baking) >= 28


@pytest.mark.parametrize("noise", [True, False])
def test_dsir_drops_by_log_weight_and_draw(tmp_path, target, noise):
    tokens = tokenize(pa.array(texts()))
    ratios = log_ratios(
        target_counts(target_source(target, None), 10_000), bucket_counts(tokens, 10_000)
    )
    weights = log_weights(tokens, ratios)
    rows = make_rows(text=texts())
    drawn = gumbel(Chance(0, 1).hashes(rows.ids)) if noise else np.zeros(ROWS)
    order = np.argsort(-(weights + drawn))  # NaN last
    gone = decide(Dsir(target=target, rows=50, noise=noise), rows, tmp_path, ((40, 9), (20,)))
    assert set(gone) == {f"r{i:05d}" for i in order[50:]}
    cut = (weights + drawn)[order[49]]
    for i in order[50:]:
        verdict = gone[f"r{i:05d}"]
        assert verdict.threshold == pytest.approx(cut - drawn[i])
        assert verdict.value == (None if np.isnan(weights[i]) else pytest.approx(weights[i]))
        assert verdict.value is None or verdict.value <= verdict.threshold
    assert gone["r00118"].value is gone["r00119"].value is None


@settings(max_examples=20)
@given(cuts(60), st.permutations(range(ROWS)), st.integers(0, 9))
def test_dsir_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, target, cut, order, arrival
):
    work = tmp_path_factory.getbasetemp()
    step = Dsir(target=target, fraction=0.3, smoothing=0.5)
    assert kept(step, work, cut, order, arrival=arrival) == kept(step, work)


def test_dsir_spends_a_budget_of_words(tmp_path, target):
    counts = tokenize(pa.array(texts())).counts
    stays = kept(Dsir(target=target, tokens=200), tmp_path)
    assert 200 - counts.max() < sum(counts[int(i[1:])] for i in stays) <= 200


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "txt", "parquet", "csv", "arrow"])
def test_target_is_read_in_the_format_its_name_tells(tmp_path, ending):
    path = tmp_path / f"target.{ending}"
    table = pa.table({"body": ["one two", "two"]})
    lines = b'{"body": "one two"}\n{"body": "two"}\n'
    if ending == "parquet":
        pq.write_table(table, path)
    elif ending == "arrow":
        with pa.ipc.new_file(path, table.schema) as out:
            out.write_table(table)
    else:
        written = {"jsonl": lines, "jsonl.gz": gzip.compress(lines), "csv": b"body\none two\ntwo\n"}
        path.write_bytes(written.get(ending, b"one two\n\ntwo"))
    counts = target_counts(target_source(str(path), None if ending == "txt" else "body"), 1 << 16)
    assert sorted(counts[counts > 0]) == ([1, 1, 1, 2] if ending == "txt" else [1, 1, 2])


def test_dsir_says_what_is_wrong_with_a_target(tmp_path):
    with pytest.raises(NoInput, match="nowhere"):
        decide(
            Dsir(target=str(tmp_path / "nowhere.jsonl"), rows=1), make_rows(text=["x"]), tmp_path
        )
    (tmp_path / "target.pdf").write_text("x")
    with pytest.raises(ValueError, match="no file name tells the format"):
        target_source(str(tmp_path / "target.pdf"), None)
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": "?!"}\n')
    with pytest.raises(ValueError, match="no words"):
        target_counts(target_source(str(empty), None), 10)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "fine"}\n{"text": \n')
    with pytest.raises(ValueError, match="line 2"):
        target_counts(target_source(str(broken), None), 10)
    with pytest.raises(ValueError, match=r"target_text.*body"):
        Dsir(target=str(empty), target_text="body", rows=1).check_files()


def test_dsir_of_a_corpus_without_words_keeps_as_many_rows(tmp_path, target):
    rows = make_rows(text=pa.array(["", None, "!"], pa.string()))
    assert len(decide(Dsir(target=target, rows=1), rows, tmp_path)) == 2


def test_dsir_sums_up_shards_by_their_root(target):
    step = Dsir(target=target, rows=1, buckets=8)
    signed = step.sign(make_rows(text=["oven flour", "sail"]), Chance(0, 1))
    mail = [one for i in range(100) for one in step.send(signed, i << 12, 100)]
    assert len({address for address, _ in mail}) == 11
    add = step.rounds(Site("", "", Chance(0, 1)))[0]
    met = open_mail(payload for _, payload in run_rounds(mail, [add]))["sum"]
    assert len(met) == 11
    assert sorted(i for homes in met["_home"].to_pylist() for i in homes) == [
        i << 12 for i in range(100)
    ]
    assert np.sum(met["counts"].to_pylist()) == 400
