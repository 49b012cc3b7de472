import numpy as np
import pytest
from tiny_datasets import write_split

import training
from training.result.result import Result


def stories(count, seed):
    """Sentences of a small grammar: much for a byte model to learn."""
    rng = np.random.default_rng(seed)
    syllables = ["ka", "lo", "mi", "ren", "tus", "var", "zeb", "qui", "dor", "pel", "sha", "fen"]
    words = ["".join(np.random.default_rng(w).choice(syllables, 3)) for w in range(900)]
    return [" ".join(rng.choice(words, 30)) + "." for _ in range(count)]


def noise(count, seed):
    rng = np.random.default_rng(seed)
    return ["".join(map(chr, rng.integers(33, 126, 300))) for _ in range(count)]


@pytest.fixture(scope="module")
def prose(tmp_path_factory):
    home = tmp_path_factory.mktemp("prose")
    clean, junk = stories(300, 1), noise(300, 2)
    ids = [f"r{row}" for row in range(600)]
    write_split(home / "raw", {"text": clean + junk, "_id": ids})
    write_split(home / "curated", {"text": clean, "_id": ids[:300]})
    write_split(home / "test", {"text": stories(60, 3)})
    return home


def prove(home, out, **changes):
    places = {role: home / role for role in ("raw", "curated", "test")}
    arguments = {"task": "language_modelling", "out": out, "label": None, "seeds": 3, "sizes": 0}
    return training.prove(**places, **{**arguments, **changes})


@pytest.fixture(scope="module")
def counted(prose, tmp_path_factory):
    out = tmp_path_factory.mktemp("counted")
    return prove(prose, out, sizes=3), out


def test_prose_without_junk_saves_bits(counted):
    result, _ = counted
    assert result.verdict == "better"
    assert result.metric == "bits per byte"
    assert "bits per byte saved" in result.sentence
    assert {"zstd", "xz"} <= set(result.baseline)
    assert result.curve.axis == "bytes"
    assert "same bytes" in result.left_out["random@n"]


def test_every_compared_run_reads_the_same_bytes(counted):
    result, _ = counted
    seen = {arm.n_seen for arm in result.arms if not arm.name.endswith("epochs")} - {None}
    others = {arm.name for arm in result.arms if arm.n_seen not in seen}
    main = {arm.n_seen for arm in result.arms if arm.name in ("raw", "curated", "aa", "scrambled")}
    assert len(main) == 1
    assert others <= {"raw@epochs", "curated@epochs", "anti"}


def test_bits_can_be_recomputed_from_the_stored_scores(counted):
    result, out = counted
    with np.load(out / "runs" / "curated-1.npz") as found:
        bits = -np.average(found["test"], weights=found["test.weight"])
    arm = next(arm for arm in result.arms if arm.name == "curated")
    assert -arm.scores[1] == pytest.approx(bits, abs=1e-6)


def test_a_gpt_on_bytes_learns_and_is_compared(prose, tmp_path):
    options = {"width": 32, "depth": 1, "context": 32, "batch": 8, "least_steps": 1}
    found = prove(
        prose,
        tmp_path,
        model="gpt-bytes",
        options=options,
        steps=60,
        rates=(),
        skip=("rs2@n", "anti"),
    )
    assert isinstance(found, Result)
    assert found.gap > 0.1
    assert {"raw", "curated", "random@n", "aa"} <= {arm.name for arm in found.arms}
    assert all(arm.mean > -8 for arm in found.arms)
