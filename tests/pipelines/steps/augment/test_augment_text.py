import random
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from text_rows import WORDS, cut, text_rows

from pipelines.rows.chance import Chance
from pipelines.steps.augment.augment_text import AugmentText

METHODS = ["keyboard", "ocr", "spelling", "swap_words", "delete_words"]
CHANCE = Chance(0, 1)
PROSE = "  The quick brown fox, because of\n\nits intelligence, doesn't jump over separate dogs.\n"


def many_texts(count=30):
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(count)]


def derived(method, texts, copy=0, chance=CHANCE, rate=0.3):
    step = AugmentText(method=method, rate=rate)
    return step.derive(text_rows(texts), copy, chance).text.to_pylist()


@pytest.mark.parametrize("method", METHODS)
def test_augment_text_changes_words_and_leaves_white_space(method):
    (changed,) = derived(method, [PROSE])
    assert changed != PROSE
    assert changed.startswith("  ")
    assert changed.endswith("\n")
    assert "  " not in changed[2:]
    if method != "delete_words":
        assert changed.count("\n\n") == 1


@pytest.mark.parametrize("method", METHODS)
def test_augment_text_does_not_depend_on_batches_or_global_randomness(method):
    step = AugmentText(method=method)
    rows = text_rows(many_texts())
    at_once = step.derive(rows, 0, CHANCE).text.to_pylist()
    random.seed(7)
    state, numpy_state = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    parts = [step.derive(part, 0, CHANCE).text.to_pylist() for part in cut(rows, [1, 7, 0, 11])]
    assert sum(parts, []) == at_once  # noqa: RUF017
    assert random.getstate() == state
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_augment_text_differs_by_copy_and_seed(method):
    texts = many_texts()
    one = derived(method, texts)
    assert one != derived(method, texts, copy=1)
    assert one != derived(method, texts, chance=Chance(1, 1))


@pytest.mark.parametrize("method", METHODS)
def test_augment_text_passes_over_texts_without_words(method):
    assert derived(method, [None, "", " \n"]) == [None, "", " \n"]


def test_augment_text_deletes_about_its_rate():
    text = " ".join(f"w{i}" for i in range(200))
    (changed,) = derived("delete_words", [text], rate=0.25)
    assert len(changed.split()) == 150
    assert set(changed.split()) <= set(text.split()) | {"W1"}


def test_augment_text_deletes_the_first_words_too():
    texts = ["One two three four"] * 300
    changed = derived("delete_words", texts, rate=0.5)
    assert len(set(changed)) >= 5
    assert all(2 <= len(text.split()) <= 3 and text == text.strip() for text in changed)


def test_augment_text_swaps_words_and_loses_none():
    text = " ".join(f"w{i}" for i in range(50))
    (changed,) = derived("swap_words", [text], rate=0.2)
    assert changed != text
    assert sorted(changed.lower().split()) == sorted(text.split())


@pytest.mark.parametrize("method", ["keyboard", "ocr"])
def test_augment_text_mistypes_one_letter_a_word(method):
    (changed,) = derived(method, [" ".join(["understanding"] * 40)], rate=0.25)
    wrong = [word for word in changed.split() if word != "understanding"]
    assert len(wrong) == 10
    assert all(0 < sum(a != b for a, b in zip(w, "understanding", strict=True)) <= 2 for w in wrong)


def test_augment_text_misspells_alike_in_every_process():
    program = (
        "from text_rows import text_rows;"
        "from pipelines.steps.augment.augment_text import AugmentText as A;"
        "from pipelines.steps.step import Chance;"
        "r = text_rows(['because their separate receive believe friend tomorrow'] * 5);"
        "print(A(method='spelling', rate=0.5).derive(r, 0, Chance(0, 1)).text.to_pylist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_augment_text_says_what_synonyms_want(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(ValidationError, match="pip install nltk, then: python -m nltk"):
        AugmentText(method="synonym")


def test_augment_text_says_which_nltk_data_is_missing(monkeypatch):
    class Data:
        @staticmethod
        def find(name):
            if "wordnet" not in name:
                raise LookupError(name)

    fake = type("nltk", (), {"data": Data})
    monkeypatch.setitem(sys.modules, "nltk", fake)
    with pytest.raises(ValidationError, match=r"nltk data omw-1\.4, averaged_perceptron"):
        AugmentText(method="synonym")


def test_augment_text_bounds_its_options():
    for options in ({"copies": 0}, {"copies": 9}, {"rate": 0}, {"rate": 0.6}):
        with pytest.raises(ValidationError):
            AugmentText(method="ocr", **options)
