"""The GPT, the windows it trains on, its tokens, and the bits of documents."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from training.loop.fit import fit  # noqa: E402
from training.nets.bytelm import floor_bits  # noqa: E402
from training.nets.gpt import document_bits, gpt, scored_windows  # noqa: E402
from training.nets.windows import Windows  # noqa: E402
from training.pool.tokens import Documents, bpe_documents, byte_documents, train_bpe  # noqa: E402
from training.recipes import RECIPES, ModelRecipe  # noqa: E402

torch.set_num_threads(1)
END = 256
NOUNS = ["cat", "dog", "café", "house", "日本", "river"]


def sentences(count: int, seed: int) -> pa.Array:
    rng = np.random.default_rng(seed)
    texts = [
        " ".join(
            f"the {NOUNS[a]} saw {b} of the {NOUNS[c]}." for a, b, c in rng.integers(0, 6, (n, 3))
        )
        for n in rng.integers(0, 5, count)
    ]
    return pa.array(texts, pa.large_string())


def small(**changes) -> ModelRecipe:
    wanted = {"width": 32, "depth": 2, "context": 16, **changes}
    return ModelRecipe.model_validate(RECIPES["gpt-bytes"].model_dump() | wanted)


def random_gpt(vocabulary: int = END + 1, **changes):
    """A GPT whose zero weights are random too, so that its logits say something."""
    torch.manual_seed(0)
    model = gpt(small(**changes), vocabulary)
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(std=0.3)
    return model.eval()


def test_gpt_starts_as_a_uniform_guess_and_looks_only_back() -> None:
    tokens = torch.randint(0, 257, (3, 16), generator=torch.Generator().manual_seed(1))
    assert not gpt(small(), 257)(tokens).any()
    model = random_gpt()
    logits = model(tokens)
    assert logits.shape == (3, 16, 257)
    changed = tokens.clone()
    changed[:, 9:] = 0
    torch.testing.assert_close(model(changed)[:, :9], logits[:, :9])
    assert (model(changed)[:, 9] - logits[:, 9]).abs().max() > 0.01
    swapped = tokens[:, [1, 0, *range(2, 16)]]
    assert (model(swapped)[:, 9] - logits[:, 9]).abs().max() > 0.01


def test_gpt_refuses_widths_that_heads_do_not_divide() -> None:
    with pytest.raises(ValueError, match=r"width 40 given for gpt-bytes.*multiple of 32"):
        gpt(small(width=40), 257)
    with pytest.raises(ValueError, match=r"width 544 given.*from 512 is a multiple of 64"):
        gpt(small(width=544), 257)
    with pytest.raises(ValueError, match="depth 0 and context 16"):
        gpt(small(depth=0), 257)


@pytest.mark.parametrize(("context", "stride"), [(16, 8), (16, 16), (16, 1), (5, 3), (1, 1)])
def test_gpt_windows_score_each_target_once_with_enough_context(context: int, stride: int) -> None:
    targets = np.array([1, 2, context, context + 1, 3 * context, 50, 97])
    document, start, scored = scored_windows(targets, context, stride)
    for d, wanted in enumerate(targets):
        mine = document == d
        ends = np.minimum(start[mine] + context, wanted)
        seen = np.concatenate(
            [np.arange(s + c, e) for s, c, e in zip(start[mine], scored[mine], ends, strict=True)]
        )
        np.testing.assert_array_equal(seen, np.arange(wanted))
        assert (scored[mine][1:] >= context - stride).all()


def test_gpt_document_bits_equal_those_of_one_document_and_token_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    lengths = [0, 1, 15, 16, 17, 60, 3]
    flat = rng.integers(0, 256, sum(lengths)).astype(np.uint8)
    offsets = np.append(0, np.cumsum(lengths))
    model = random_gpt()

    def by_hand(text) -> float:
        """Score each token after the 15 to 8 before it: windows begin at multiples of 8."""
        line = torch.tensor([END, *text.tolist(), END])
        bits = 0.0
        for target in range(1, len(line)):
            start = max(0, min(-(-(target - 16) // 8) * 8, len(line) - 1 - 16))
            logits = model(line[None, start:target])[0, -1]
            bits += float(functional.cross_entropy(logits, line[target])) / math.log(2)
        return bits

    with torch.inference_mode():
        wanted = [by_hand(flat[a:b]) for a, b in pairwise(offsets)]
    found = document_bits(model, flat, offsets, end=END, context=16)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    monkeypatch.setattr("training.nets.gpt.LOGITS_AT_ONCE", 1)
    alone = document_bits(model, flat, offsets, end=END, context=16)
    np.testing.assert_allclose(alone, found, rtol=1e-5)
    assert document_bits(model, flat, offsets[:1], end=END, context=16).shape == (0,)


def test_gpt_longer_overlap_costs_no_token_its_score() -> None:
    flat, offsets = np.arange(60, dtype=np.uint8), np.array([0, 60])
    untrained = gpt(small(), 257)
    for stride in (1, 8, 16):
        bits = document_bits(untrained, flat, offsets, end=END, context=16, stride=stride)
        assert bits[0] == pytest.approx(61 * math.log2(257), rel=1e-6)


def test_gpt_beats_the_floor_after_a_little_training() -> None:
    train, test = byte_documents(sentences(150, seed=1)), byte_documents(sentences(30, seed=2))
    recipe = small(batch=8)
    torch.manual_seed(0)
    model = gpt(recipe, 257)
    examples = Windows(train, np.arange(150), end=END, context=16, seed=0)
    fit(model, examples, recipe=recipe, steps=30, seed=0)
    found = document_bits(model, *test, end=END, context=16).sum()
    assert found < 0.6 * floor_bits(train, test).sum()


def test_windows_hold_each_token_of_the_arm_once_as_a_target() -> None:
    contents = [b"one two three", b"", b"four", b"a long enough document", b"not in the arm"]
    texts = pa.array([content.decode() for content in contents], pa.large_string())
    rows = np.array([0, 3, 2, 1, 3])
    windows = Windows(byte_documents(texts), rows, end=END, context=7, seed=5)
    (given,), targets = windows.batch(np.arange(len(windows)), None)
    assert given.shape == targets.shape == (len(windows), 7)
    assert given.dtype == targets.dtype == torch.int64
    size = sum(len(contents[row]) + 1 for row in rows)
    assert len(windows) == -(-size // 7)
    stream = targets.flatten().tolist()
    assert stream[size:] == stream[: len(stream) - size]
    assert given.flatten().tolist() == [END, *stream[:-1]]
    found, text = [], []
    for token in stream[:size]:
        if token == END:
            found.append(bytes(text))
            text = []
        else:
            text.append(token)
    assert sorted(found) == sorted(contents[row] for row in rows)
    assert not text


def test_windows_are_shuffled_by_the_seed_alone() -> None:
    documents, where = byte_documents(sentences(50, seed=1)), np.arange(20)
    same, again, other = (
        Windows(documents, np.arange(50), end=END, context=16, seed=seed).tokens(where)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(same, again)
    assert (same != other).any()


def test_documents_read_what_they_saved(tmp_path) -> None:
    texts = pa.array(["x", "caf\u00e9", "", "日本"], pa.string())
    documents = byte_documents(texts.slice(1))
    assert documents.flat.tobytes() == "café日本".encode()
    assert documents.offsets.tolist() == [0, 5, 5, 11]
    documents.save(tmp_path, "bytes")
    loaded = Documents.load(tmp_path, "bytes")
    np.testing.assert_array_equal(loaded.flat, documents.flat)
    np.testing.assert_array_equal(loaded.offsets, documents.offsets)
    assert byte_documents(pa.array(["", ""])).offsets.tolist() == [0, 0, 0]


def test_bpe_is_deterministic_and_tells_any_text() -> None:
    pytest.importorskip("tokenizers")
    texts = sentences(200, seed=1)
    first, second = train_bpe(texts, 280), train_bpe(texts, 280)
    backwards = train_bpe(texts.take(pa.array(np.arange(199, -1, -1))), 280)
    assert first.to_str() == second.to_str() == backwards.to_str()
    assert first.get_vocab_size() == 280
    strange = pa.array(["", "the cat saw \U0001f600\x00 \t\n\n naïve", "日本"], pa.large_string())
    flat, offsets = bpe_documents(first, strange)
    assert flat.dtype == np.uint16
    names = {token: name for name, token in first.get_vocab().items()}
    letters = [sum(len(names[t]) for t in flat[a:b]) for a, b in pairwise(offsets)]
    assert letters == [len(text.encode()) for text in strange.to_pylist()]
    assert len(bpe_documents(first, texts).flat) < 0.6 * len(byte_documents(texts).flat)


@pytest.mark.parametrize("vocabulary", [255, 65_536])
def test_bpe_refuses_vocabularies_that_do_not_fit(vocabulary: int) -> None:
    with pytest.raises(ValueError, match=f"{vocabulary} given; .* 256 to 65535"):
        train_bpe(pa.array(["a"]), vocabulary)
