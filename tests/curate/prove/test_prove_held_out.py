from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from curate.prove.prove_data import given
from curate.prove.prove_progress import Silent
from curate.prove.prove_tests import asked_tests, hold_out, own_test
from curate.recipe.prove_section import Prove
from training.pool.shards import read_table

ASKED = Prove(task="text_classification", test="none")
NAMES = {"text": "text", "label": "label"}


def saved(folder: Path, texts: list[str], **splits: list[str]) -> Path:
    made = {
        name: Dataset.from_dict({"text": some, "label": ["ab"[len(t) % 2] for t in some]})
        for name, some in {"train": texts, **splits}.items()
    }
    DatasetDict(made).save_to_disk(folder)
    return folder


def held(folder: Path) -> list[str]:
    return read_table("test", folder)["text"].to_pylist()


def test_hold_out_takes_a_fifth_of_the_contents_once(tmp_path):
    texts = [f"text number {i}" for i in range(2_000)]
    raw = saved(tmp_path / "raw", texts + [text.upper() for text in texts[:500]])
    count = hold_out(raw, "text", tmp_path / "test")
    found = held(tmp_path / "test")
    assert count == len(found) == len({text.lower() for text in found})
    assert 340 < count < 460


def test_hold_out_hangs_on_contents_alone(tmp_path):
    texts = [f"text number {i}" for i in range(500)]
    hold_out(saved(tmp_path / "a", texts), "text", tmp_path / "test-a")
    hold_out(saved(tmp_path / "b", texts[::-1]), "text", tmp_path / "test-b")
    assert set(held(tmp_path / "test-a")) == set(held(tmp_path / "test-b"))


def test_hold_out_is_not_what_validation_takes(tmp_path):
    """Both are drawn by a hash of the content: by the same one, none would be left for the other"""
    import pyarrow as pa

    from training.pool.content_keys import text_keys
    from training.pool.data import HELD_BACK, _lot

    texts = [f"text number {i}" for i in range(2_000)]
    hold_out(saved(tmp_path / "raw", texts), "text", tmp_path / "test")
    rest = sorted(set(texts) - set(held(tmp_path / "test")))
    validation = int((_lot(text_keys(pa.array(rest))) < HELD_BACK).sum())
    assert 0.5 < validation / (HELD_BACK * len(rest)) < 1.6


def test_hold_out_names_the_columns_there_are(tmp_path):
    raw = saved(tmp_path / "raw", ["a", "b"])
    with pytest.raises(ValueError, match=r"no column 'body'; it has text, label"):
        hold_out(raw, "body", tmp_path / "test")


@pytest.mark.parametrize(
    ("splits", "role", "late"),
    [
        ({"raw", "curated"}, "raw", None),
        ({"curated"}, "curated", "split of the curated data"),
        (set(), "held-out", "held out of raw"),
    ],
)
def test_own_test_prefers_what_curation_has_not_seen(tmp_path, splits, role, late):
    texts = [f"text number {i}" for i in range(50)]
    sides = tuple(
        given(side, saved(tmp_path / side, texts, **({"test": ["x"]} if side in splits else {})))
        for side in ("raw", "curated")
    )
    found, said = own_test(sides, ASKED, tmp_path / "raw", tmp_path, NAMES, Silent())
    assert found == {"test": tmp_path / role}
    assert (said is None) if late is None else (late in said)


def test_asked_tests_read_their_test_split(tmp_path):
    (tmp_path / "clean.jsonl").write_text('{"text": "a", "label": "x"}\n')
    saved(tmp_path / "big", ["a", "b"], test=["c"], validation=["d"])
    asked = ASKED.model_copy(
        update={
            "test": str(tmp_path / "big"),
            "tests": {"clean": str(tmp_path / "clean.jsonl")},
            "validation": str(tmp_path / "big"),
        }
    )
    found = asked_tests(asked, tmp_path / "proof", NAMES, Silent())
    read = {role: read_table(role, place)["text"].to_pylist() for role, place in found.items()}
    assert read == {"test": ["c"], "test:clean": ["a"], "validation": ["d"]}
