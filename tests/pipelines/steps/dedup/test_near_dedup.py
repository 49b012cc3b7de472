"""Near-duplicate texts against the Jaccard similarity of all pairs."""

import re
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from corpus import cuts, decide, decide_and_note, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.steps.dedup.clusters.cluster_rounds
import pipelines.steps.dedup.pairs
from pipelines.rows import MissingColumn
from pipelines.rows.chance import Chance
from pipelines.steps.dedup.near_dedup import NearDedup


@cache
def documents(count: int = 1000, seed: int = 0) -> tuple[str, ...]:
    """Half of them originals, half edited copies of any text before them; some short or empty."""
    rng = np.random.default_rng(seed)
    vocabulary = [f"w{i}" for i in range(3000)]
    made: list[list[str]] = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.5 or len(made) < 5:
            length = int(rng.choice([0, 1, 3, 5, 8, 40, 90, 150]))
            made.append([vocabulary[i] for i in rng.integers(0, 3000, length)])
            continue
        words = list(made[rng.integers(len(made))])
        for _ in range(int(rng.integers(0, 1 + len(words) // 20))):
            words[rng.integers(len(words))] = vocabulary[rng.integers(3000)]
        made.append(words)
    return tuple(" ".join(words) for words in made)


def shingle_set(text: str, size: int = 5) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    if len(words) < size:
        return frozenset([tuple(words)] if words else [])
    return frozenset(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def similar_pairs(texts) -> dict[tuple[int, int], float]:
    """Jaccard similarity of all pairs that share a shingle."""
    sets = [shingle_set(text) for text in texts]
    holders = defaultdict(list)
    for i, shingles in enumerate(sets):
        for shingle in shingles:
            holders[shingle].append(i)
    shared = Counter(p for rows in holders.values() for p in combinations(rows, 2))
    return {(i, j): n / (len(sets[i]) + len(sets[j]) - n) for (i, j), n in shared.items()}


@cache
def truth() -> dict[tuple[int, int], float]:
    return similar_pairs(documents())


def expected_verdicts(texts, pairs, threshold, ids=None) -> dict[str, str]:
    """{dropped id: kept id}: longest, then smallest id first, for the first kept one like it."""
    ids = ids or [f"r{i:05d}" for i in range(len(texts))]
    alike = defaultdict(set)
    for (i, j), similarity in pairs.items():
        if similarity >= threshold:
            alike[i].add(j)
            alike[j].add(i)
    kept, dropped = [], {}
    for i in sorted(range(len(texts)), key=lambda i: (-len(texts[i].encode()), ids[i])):
        keeper = next((k for k in kept if k in alike[i]), None)
        if keeper is None:
            kept.append(i)
        else:
            dropped[ids[i]] = ids[keeper]
    return dropped


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_near_dedup_equals_all_pairs(tmp_path, threshold):
    found = decide(NearDedup(similarity=threshold), make_rows(text=documents()), tmp_path)
    expected = expected_verdicts(documents(), truth(), threshold)
    assert len(expected) > 200
    assert {i: v.other for i, v in found.items()} == expected


def test_near_dedup_evidence_is_the_jaccard_similarity_to_the_row_that_is_kept(tmp_path):
    found = decide(NearDedup(), make_rows(text=documents()), tmp_path)

    def true(*ids: str) -> float:
        return truth().get(tuple(sorted(int(i[1:]) for i in ids)), 0.0)

    for row_id, verdict in found.items():
        assert (verdict.reason, verdict.threshold) == ("near_duplicate", 0.8)
        assert verdict.value == true(row_id, verdict.other) >= 0.8
        assert verdict.other not in found
        assert verdict.detail is None


def test_near_dedup_of_chains_says_what_links_them(tmp_path):
    found = decide(NearDedup(link="chain"), make_rows(text=documents()), tmp_path)

    def true(*ids: str) -> float:
        return truth().get(tuple(sorted(int(i[1:]) for i in ids)), 0.0)

    chained = 0
    for row_id, verdict in found.items():
        assert verdict.value == true(row_id, verdict.other)
        assert (verdict.detail is not None) == (verdict.value < 0.8)
        if verdict.detail is not None:
            through, closest = re.fullmatch(
                r"linked through (\w+) \((.+)\)", verdict.detail
            ).groups()
            assert closest == f"{true(row_id, through):.2f}"
            assert true(row_id, through) >= 0.8
            chained += 1
    assert chained > 0


@cache
def small_verdicts(work: str, **options):
    return decide(NearDedup(**options), make_rows(text=documents(120, seed=1)), work)


OPTIONS = [{}, {"unit": "char"}, {"keep": "smallest_id"}]


@settings(max_examples=30)
@given(cuts(60), st.permutations(range(120)), st.integers(0, 9), st.sampled_from(OPTIONS))
def test_near_dedup_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival, options
):
    work = str(tmp_path_factory.getbasetemp())
    rows = make_rows(text=documents(120, seed=1), order=order)
    found = decide(NearDedup(**options), rows, work, cut, arrival=arrival)
    assert found == small_verdicts(work, **options)


@pytest.mark.parametrize("cut", [((120,),), ((7,), (50, 3), (20,))])
def test_near_dedup_gives_the_same_verdicts_from_clusters_in_many_places(
    tmp_path, monkeypatch, cut
):
    monkeypatch.setattr(pipelines.steps.dedup.clusters.cluster_rounds, "SPREAD_FROM", 1)
    rows = make_rows(text=documents(120, seed=1))
    assert decide(NearDedup(), rows, tmp_path, cut) == small_verdicts(str(tmp_path))


def test_near_dedup_signs_for_any_similarity_and_keeper(tmp_path):
    rows = make_rows(text=documents(120, seed=1), score=range(120))
    signed = NearDedup().sign(rows, Chance(0, 1))
    other = {"similarity": 0.5, "prefer": "score", "keep": "earliest", "order": ("1",)}
    other["link"] = "chain"
    assert {*other, "against", "conflicts"} == set(NearDedup.after_sign)
    assert NearDedup(**other).sign(rows, Chance(0, 1)).equals(signed)


def test_near_dedup_gives_the_same_verdicts_for_any_seed(tmp_path):
    rows = make_rows(text=documents(120, seed=1))
    assert decide(NearDedup(), rows, tmp_path, seed=9) == small_verdicts(str(tmp_path))


def test_near_dedup_joins_short_texts_only_if_their_words_are_equal(tmp_path):
    texts = ["Hello, world", "hello WORLD!", "hello", "world hello", "hello world again", "Hello"]
    found = decide(NearDedup(similarity=0.5), make_rows(text=texts), tmp_path)
    assert {i: (v.value, v.other) for i, v in found.items()} == {
        "r00001": (1.0, "r00000"),
        "r00005": (1.0, "r00002"),
    }


@pytest.mark.parametrize("text", ["", "...", "!!! ???", " \n\t", "😀😀", None])
def test_near_dedup_never_joins_texts_without_words(tmp_path, text):
    assert decide(NearDedup(similarity=0.1), make_rows(text=[text, text, text]), tmp_path) == {}


def test_near_dedup_by_characters_never_joins_blank_texts_and_short_ones_only_if_equal(tmp_path):
    texts = ["", None, " \n\t", "\u3000", "a", "A ", "ab", "...", "... ", "😀", "ß", "ẞ", "x" * 20]
    texts += ["x" * 19, "x" * 40]
    step = NearDedup(similarity=0.1, unit="char")
    found = decide(step, make_rows(text=texts), tmp_path)
    pairs = {tuple(sorted((int(i[1:]), int(v.other[1:])))): v.value for i, v in found.items()}
    assert pairs == {(4, 5): 1.0, (7, 8): 1.0, (10, 11): 1.0, (12, 14): 1.0}


@pytest.mark.parametrize(("size", "threshold"), [(None, 0.7), (4, 0.9)])
def test_near_dedup_by_characters_equals_all_pairs(tmp_path, size, threshold):
    texts = [t.upper() if i % 3 else f" {t}\n" for i, t in enumerate(documents(200, seed=2))]

    def windows(text: str) -> frozenset[str]:
        text, n = " ".join(text.casefold().split()), size or 20
        return (
            frozenset(text[i : i + n] for i in range(max(1, len(text) - n + 1)))
            if text
            else frozenset()
        )

    sets = [windows(text) for text in texts]
    pairs = {
        (i, j): len(sets[i] & sets[j]) / max(1, len(sets[i] | sets[j]))
        for i, j in combinations(range(200), 2)
    }
    step = NearDedup(unit="char", shingle=size, similarity=threshold)
    found = decide(step, make_rows(text=texts), tmp_path)
    expected = expected_verdicts(texts, pairs, threshold)
    assert len(expected) > 40
    assert {i: v.other for i, v in found.items()} == expected
    for row_id, verdict in found.items():
        pair = tuple(sorted((int(row_id[1:]), int(verdict.other[1:]))))
        assert verdict.value == pairs[pair]


def test_near_dedup_reads_scripts_without_spaces(tmp_path):
    text = "我能吞下玻璃而不伤身体。" * 3 + "今天天气很好我们去公园散步吧"
    other = "今天天气很好我们去公园散步吧" + "他们昨天在学校里学习了新的东西" * 2
    rows = make_rows(text=[text, text.replace("。", "！", 1), other])
    assert list(decide(NearDedup(), rows, tmp_path)) == ["r00001"]


LONG = " ".join(f"word{i}" for i in range(60))


def test_near_dedup_keeps_the_preferred_then_the_longest_then_the_smallest_id(tmp_path):
    texts = [LONG, LONG + " more", LONG + " else", LONG]
    rows = make_rows(ids=["d", "c", "b", "a"], text=texts, score=[None, 1.0, 1.0, 2.0])
    assert {v.other for v in decide(NearDedup(), rows, tmp_path).values()} == {"b"}
    assert {v.other for v in decide(NearDedup(prefer="score"), rows, tmp_path).values()} == {"a"}


def test_near_dedup_says_what_a_chain_is_linked_through(tmp_path):
    words = [f"w{i}" for i in range(100)]
    step = [words[8 * i : 8 * i + 76] for i in range(3)]  # neighbours share 64 of 80 shingles
    texts = [" ".join([*step[0], "a" * 50]), " ".join(step[1]), " ".join(step[2])]
    assert list(decide(NearDedup(similarity=0.75), make_rows(text=texts), tmp_path)) == ["r00001"]
    chain = NearDedup(similarity=0.75, link="chain")
    found = decide(chain, make_rows(text=texts), tmp_path)
    assert found["r00001"].detail is None
    assert found["r00002"].detail == "linked through r00001 (0.80)"
    assert found["r00002"].other == "r00000"
    assert found["r00002"].value == pytest.approx(56 / 89)


def test_near_dedup_keeps_the_earliest_or_the_smallest_id_or_the_first_source(tmp_path):
    texts = [LONG, LONG + " more", LONG + " else", LONG]
    rows = make_rows(ids=["d", "c", "b", "a"], text=texts, source=["web", "books", "wiki", "web"])

    def kept(**options) -> set[str]:
        return {v.other for v in decide(NearDedup(**options), rows, tmp_path).values()}

    assert kept(keep="earliest") == {"d"}
    assert kept(keep="smallest_id") == {"a"}
    assert kept(prefer="source", order=["wiki", "books"]) == {"b"}
    assert kept(prefer="source", order=["web"], keep="earliest") == {"d"}
    with pytest.raises(ValueError, match="give `prefer` too"):
        NearDedup(order=["wiki"])


def test_near_dedup_of_nothing_or_one_row(tmp_path):
    assert decide(NearDedup(), make_rows(text=[LONG]), tmp_path) == {}


def test_near_dedup_takes_prefer_for_a_number(tmp_path):
    with pytest.raises(MissingColumn, match="prefer"):
        decide(NearDedup(prefer="text"), make_rows(text=[LONG, LONG]), tmp_path)


@pytest.mark.parametrize("seed", [0, 1])
def test_near_dedup_caps_large_buckets_says_so_and_still_joins_them(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(pipelines.steps.dedup.pairs, "BUCKET", 4)
    texts = [LONG] * 30 + [f"{LONG} and {i}" for i in range(30)]
    texts += [" ".join(f"v{i}x{j}" for j in range(20)) for i in range(5)]
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    rows = make_rows(text=texts, order=order)
    found, noted = decide_and_note(NearDedup(), rows, tmp_path, cut=[[7], [20, 3]])
    assert noted > 0
    assert len(found) == 59
    assert {v.other for v in found.values()} == {"r00040"}
    assert found == decide(NearDedup(), make_rows(text=texts), tmp_path)


def templated(count: int, boiler: int, unique: int, seed: int) -> tuple[list[str], list[int]]:
    """Three texts in ten share a template, a third of them edited copies; and which these are."""
    rng = np.random.default_rng(seed)

    def words(n: int) -> list[str]:
        return [f"w{i}" for i in rng.integers(0, 20_000, n)]

    template, texts, at, same = words(boiler), [], [], []
    for i in range(count):
        if rng.random() >= 0.3:
            texts.append(words(boiler + unique))
            continue
        own = words(unique)
        if same and rng.random() < 0.33:
            own = list(same[rng.integers(len(same))])
            for edited in rng.integers(0, unique, unique // 8):
                own[edited] = words(1)[0]
        same.append(own)
        texts.append(template + own)
        at.append(i)
    return [" ".join(text) for text in texts], at


def jaccard_of_all(texts: list[str]) -> np.ndarray:
    """Jaccard similarity of all pairs, by one product of matrices."""
    sets = [shingle_set(text) for text in texts]
    column = {s: i for i, s in enumerate(dict.fromkeys(s for shingles in sets for s in shingles))}
    holds = np.zeros((len(texts), len(column)), dtype=np.float32)
    for row, shingles in enumerate(sets):
        holds[row, [column[s] for s in shingles]] = 1
    shared, sizes = holds @ holds.T, holds.sum(axis=1)
    return shared / (sizes[:, None] + sizes - shared)


@pytest.mark.parametrize("seed", [0, 1])
def test_near_dedup_finds_copies_among_2000_texts_of_which_600_share_a_template(tmp_path, seed):
    texts, at = templated(2000, boiler=170, unique=32, seed=seed)
    similarity = jaccard_of_all([texts[i] for i in at])
    assert 0.7 < np.median(similarity) < 0.8  # hardly told apart from the copies
    left, right = np.nonzero(np.triu(similarity >= 0.8, 1))
    pairs = dict.fromkeys(zip(np.array(at)[left], np.array(at)[right], strict=True), 0.8)
    expected = expected_verdicts(texts, pairs, 0.8)
    assert len(expected) > 100
    found, crowded = decide_and_note(NearDedup(), make_rows(text=texts), tmp_path)
    assert crowded > 10
    assert set(found) <= set(expected)
    assert len(found) >= 0.99 * len(expected)
