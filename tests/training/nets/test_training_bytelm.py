"""The byte model against a dictionary that does the same by hand."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from training.nets.bytelm import discounts, fit_bytes, floor_bits, packed_bits, ratio
from training.pool.tokens import Documents

END = 256
PHRASES = [b"the cat sat", b" on the mat", b"a dog", b" and ", b"caf\xc3\xa9", b"\x00", b"42. "]


def documents(contents: list[bytes]) -> Documents:
    offsets = np.append(0, np.cumsum([len(content) for content in contents])).astype(np.int64)
    return Documents(np.frombuffer(b"".join(contents), np.uint8), offsets)


def phrases(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [
        b"".join(PHRASES[i] for i in rng.integers(0, 7, rng.integers(0, 9))) for _ in range(count)
    ]


class ByHand:
    """Interpolated modified Kneser-Ney as the textbook tells it, one symbol at a time."""

    def __init__(self, contents: list[bytes], order: int) -> None:
        self.order = order
        grams = Counter(gram for content in contents for gram in self.grams(content))
        self.counts, self.discounts, self.after = {}, {}, {}
        for k in range(order, 0, -1):
            self.counts[k] = grams
            self.discounts[k] = self.estimate(grams)
            self.after[k] = defaultdict(dict)
            for gram, count in grams.items():
                self.after[k][gram[:-1]][gram[-1]] = count
            grams = Counter(gram[1:] for gram in grams)

    def grams(self, content: bytes) -> list[tuple[int, ...]]:
        padded = [END] * (self.order - 1) + list(content) + [END]
        return [tuple(padded[i : i + self.order]) for i in range(len(content) + 1)]

    @staticmethod
    def estimate(grams: Counter) -> list[float]:
        n = [sum(count == k for count in grams.values()) for k in (1, 2, 3, 4)]
        if 0 in n[:3]:
            return [0.5, 1.0, 1.5]
        y = n[0] / (n[0] + 2 * n[1])
        found = [k - (k + 1) * y * n[k] / n[k - 1] for k in (1, 2, 3)]
        return [d if 0 < d < k else k / 2 for k, d in zip((1, 2, 3), found, strict=True)]

    def probability(self, gram: tuple[int, ...]) -> float:
        if not gram:
            return 1 / 257
        lower = self.probability(gram[1:])
        seen = self.after[len(gram)].get(gram[:-1])
        if seen is None:
            return lower
        taken = {s: self.discounts[len(gram)][min(c, 3) - 1] for s, c in seen.items()}
        own = seen.get(gram[-1], 0) - taken.get(gram[-1], 0.0)
        return (own + sum(taken.values()) * lower) / sum(seen.values())

    def bits(self, content: bytes) -> float:
        return -sum(math.log2(self.probability(gram)) for gram in self.grams(content))


@pytest.mark.parametrize("order", [1, 2, 3, 6, 8])
def test_bytelm_bits_equal_those_of_a_dictionary(order: int) -> None:
    train, test = phrases(60, seed=1), [*phrases(20, seed=2), b"never seen: \xff\xfe", b""]
    by_hand = ByHand(train, order)
    found = fit_bytes(*documents(train), order=order).bits(*documents(test))
    np.testing.assert_allclose(found, [by_hand.bits(content) for content in test], rtol=1e-10)


@pytest.mark.parametrize("order", [1, 3, 7])
def test_bytelm_probabilities_sum_to_one_after_any_context(order: int) -> None:
    train = phrases(60, seed=1)
    model, by_hand = fit_bytes(*documents(train), order=order), ByHand(train, order)
    rng = np.random.default_rng(0)
    contexts = [*train[:9], b"", b"unseen \xf0", *(rng.bytes(n) for n in range(9))]
    for context in contexts:
        found = model.probabilities(context)
        assert found.sum() == pytest.approx(1, abs=1e-12)
        before = (END,) * (order - 1) + tuple(context)
        before = before[len(before) - order + 1 :]
        wanted = [by_hand.probability((*before, symbol)) for symbol in range(257)]
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_bytelm_is_the_same_for_any_order_of_documents() -> None:
    train, test = phrases(60, seed=1), phrases(20, seed=2)
    forth, back = (fit_bytes(*documents(part)) for part in (train, train[::-1]))
    np.testing.assert_array_equal(forth.bits(*documents(test)), back.bits(*documents(test)))
    np.testing.assert_array_equal(
        forth.bits(*documents(test)), forth.bits(*documents(test[::-1]))[::-1]
    )


def test_bytelm_context_stops_at_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit_bytes(*documents(phrases(60, seed=1)))
    alone = model.bits(*documents([b"sat on"]))
    flat, offsets = documents([b"the cat ", b"sat on", b"", b" the mat"])
    assert model.bits(flat, offsets)[1] == alone[0]
    np.testing.assert_array_equal(model.bits(flat, offsets[1:3]), alone)
    whole = model.bits(flat, offsets)
    monkeypatch.setattr("training.nets.bytelm.BLOCK", 3)
    np.testing.assert_allclose(model.bits(flat, offsets), whole, rtol=1e-14)


def test_bytelm_repeated_documents_leave_every_byte_a_probability() -> None:
    repeated = fit_bytes(*documents(phrases(9, seed=1) * 4))
    assert np.isfinite(repeated.bits(*documents([bytes(range(256))]))).all()
    assert discounts(np.repeat([4, 8], 50)).tolist() == [0, 0.5, 1, 1.5]
    assert discounts(np.repeat([1, 2, 3, 4], [9, 9, 1, 90]))[3] == 1.5
    assert (discounts(np.repeat([1, 2, 3, 4], [90, 30, 15, 8]))[1:] < [1, 2, 3]).all()


def test_bytelm_refuses_orders_that_do_not_fit_and_empty_training() -> None:
    every = documents([bytes(range(256))])
    assert fit_bytes(*every, order=7).order == 7
    with pytest.raises(ValueError, match=r"order .depth. 8 given; 256 byte values.* allow 1 to 7"):
        fit_bytes(*every, order=8)
    with pytest.raises(ValueError, match=r"order .depth. 0 given"):
        fit_bytes(*every, order=0)
    with pytest.raises(ValueError, match="0 documents"):
        fit_bytes(*documents([]))
    assert fit_bytes(*documents([b"", b""])).bits(*documents([b"", b"a"])).shape == (2,)
    assert fit_bytes(*every).bits(*documents([])).shape == (0,)


def test_bytelm_beats_the_floor_and_stands_beside_compressors() -> None:
    train, test = documents(phrases(400, seed=1)), documents(phrases(100, seed=2))
    size = len(test.flat)
    floor, found = floor_bits(train, test).sum() / size, fit_bytes(*train).bits(*test).sum() / size
    share = np.bincount(train.flat, minlength=256) / len(train.flat)
    entropy = -np.log2(share[test.flat]).mean()
    assert entropy < floor < 1.2 * entropy  # which also pays for the ends of documents
    assert found < 0.5 * floor
    packed = packed_bits(test)
    assert 0 < packed["zstd"] < 8
    assert 0 < packed["xz"] < 8
    assert ratio(2.0) == 4
    with pytest.raises(ValueError, match="0 bytes"):
        packed_bits(documents([b""]))


def test_documents_take_repeats_and_reorders() -> None:
    contents = [b"one", b"", b"three"]
    taken = documents(contents).take(np.array([2, 0, 2, 1]))
    assert taken.flat.tobytes() == b"threeonethree"
    assert taken.offsets.tolist() == [0, 5, 8, 13, 13]
