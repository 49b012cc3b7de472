import sys

import numpy as np
import pyarrow as pa
import pytest
from found import components, measure, pairs_found
from judges import kept_mask
from processes import measure as measure_process
from similar_texts import all_pairs, shingle_sets, similar_pairs


def test_measure_counts_missed_and_lost_rows():
    groups = np.array([0, 0, 0, 1, 1, 2, 3])
    kept = np.array([True, True, False, False, False, True, False])
    found = measure(groups, kept)
    assert (found.to_remove, found.missed, found.dropped, found.lost) == (3, 1, 4, 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(1 / 4)


def test_measure_of_nothing_to_do_is_perfect():
    found = measure(np.arange(3), np.ones(3, dtype=np.bool_))
    assert (found.recall, found.precision) == (1, 1)


def test_pairs_found_when_one_of_two_is_gone():
    kept = np.array([True, True, False, False])
    left, right = np.array([0, 0, 2]), np.array([1, 2, 3])
    assert pairs_found(left, right, kept) == {"pairs": 3, "recall": round(2 / 3, 5)}


def test_kept_ids_that_are_not_in_the_corpus_are_an_error():
    with pytest.raises(ValueError, match="1 kept ids are not in the corpus"):
        kept_mask(pa.chunked_array([["a", "b"]]), {"a", "made up"})


def brute_force(texts, similarity):
    sets = [
        {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else {text}
        for text in texts
        for words in [text.lower().split()]
    ]
    return {
        (i, j)
        for j in range(len(sets))
        for i in range(j)
        if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= similarity
    }


@pytest.mark.parametrize("similarity", [0.3, 0.7, 0.8, 1.0])
def test_both_searches_find_all_similar_pairs(similarity):
    rng = np.random.default_rng(1)
    texts = ["", "", "!?", "!?", "one two", "ONE  two", "one two three"]
    base = [list(rng.choice(list("abcdefgh"), 30)) for _ in range(8)]
    for _ in range(60):
        words = list(base[rng.integers(len(base))])
        for place in rng.integers(0, 30, rng.integers(0, 4)):
            words[place] = "x"
        texts.append(" ".join(words[: rng.integers(4, 31)]))
    sets = shingle_sets(texts)
    expected = brute_force(texts, similarity)
    left, right, measured = all_pairs(sets, similarity)
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == expected
    assert (measured >= similarity).all()
    joined = similar_pairs(sets, similarity)
    pairs = {tuple(sorted(pair)) for pair in zip(*(x.tolist() for x in joined[:2]), strict=True)}
    assert pairs <= expected
    groups = [components(len(texts), *found[:2]) for found in ((left, right), joined)]
    assert groups[0].tolist() == groups[1].tolist()


def test_process_is_measured_without_its_parents_memory(tmp_path):
    held = np.ones(40_000_000)  # 320 MB here, not there
    used = measure_process([sys.executable, "-S", "-c", "sum(range(3_000_000))"], tmp_path / "log")
    assert held.nbytes > 3e8
    assert 0 < used["cpu_seconds"] < 5
    assert used["peak_mb"] < 100


def test_process_counts_its_children(tmp_path):
    child = "x = bytearray(150_000_000)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', '{child}'])"
    used = measure_process([sys.executable, "-S", "-c", parent], tmp_path / "log")
    assert used["peak_mb"] > 140


def test_process_that_fails_says_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match="no such thing"):
        measure_process([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "l")


def test_process_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(RuntimeError, match="exits with -9"):
        measure_process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "l", 0.3)
