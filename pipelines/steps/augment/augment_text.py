"""`augment_text`: more training rows from each text, by small changes (nlpaug)."""

import importlib
import random
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.maths.arrays import GOLDEN
from pipelines.rows import Rows
from pipelines.steps.step import Chance, Derive

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]+")
"""Words apart from punctuation, for methods that look words up or change their letters."""
SPACED = re.compile(r"\S+")
"""Words with their punctuation, for methods that move words."""
NLTK_DATA = {
    "wordnet": "corpora/wordnet",
    "omw-1.4": "corpora/omw-1.4",
    "averaged_perceptron_tagger_eng": "taggers/averaged_perceptron_tagger_eng",
}


class AugmentText(Derive):
    """Derive rows whose text has typos, OCR errors, or words moved, deleted or replaced.

    The methods are those of nlpaug 1.1.11. White space stays as it is. A change depends on the seed
    and the row's id alone; a text in which the method finds nothing to change stays as it is, and a
    null stays null. About a thousand texts of 1 kB per second.
    """

    op: Literal["augment_text"] = "augment_text"
    needs: ClassVar[tuple[str, ...]] = ("text",)
    extra: ClassVar[str | None] = "augment"
    imports: ClassVar[tuple[str, ...]] = ("nlpaug",)

    method: Literal["keyboard", "ocr", "spelling", "swap_words", "delete_words", "synonym"]
    """`keyboard`: letters become their neighbours on the keyboard. `ocr`: letters become others
    that look alike. `spelling`: words become common misspellings (English). `swap_words`:
    neighbours change places. `delete_words`: words are left out. `synonym`: words become WordNet
    synonyms (English); needs nltk and its data."""
    copies: int = Field(default=1, ge=1, le=8)
    """Rows made from each row."""
    rate: float = Field(default=0.1, gt=0, le=0.5)
    """Share of the words that are changed, rounded up."""

    @model_validator(mode="after")
    def _synonyms_are_installed(self) -> Self:
        if self.method == "synonym":
            _check_nltk_data()
        return self

    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        """Return the rows with changed texts."""
        seeds = chance.hashes(rows.ids) + np.uint64(copy * GOLDEN % 2**64)
        editor = _Editor(self.method, self.rate)
        # nlpaug works on one text at a time.
        texts = [
            None if text is None else editor.edit(text, seed)
            for text, seed in zip(rows.text.to_pylist(), seeds.tolist(), strict=True)
        ]
        column = rows.column(rows.columns.text, "text")
        return rows.replace(
            cast("str", rows.columns.text), pa.array(texts, pa.string()).cast(column.type)
        )


class _Editor:
    """An nlpaug augmenter that leaves white space alone and has its own source of randomness.

    nlpaug draws through its method `sample` from the global `random`, which other threads share;
    the editor replaces that method by one that uses its own generator.
    """

    def __init__(self, method: str, rate: float) -> None:
        self._pattern = SPACED if method.endswith("_words") else WORD
        self._deletes = method == "delete_words"
        self._random = random.Random()
        self._drawn: list[int] = []
        self._augmenter = _augmenter(method, rate)
        self._augmenter.sample = self._sample
        self._augmenter.tokenizer = self._pattern.findall
        self._augmenter.reverse_tokenizer = list

    def edit(self, text: str, seed: int) -> str:
        """Return the text changed as the seed decides."""
        ends = [0]
        gaps = []  # white space before each word
        for found in self._pattern.finditer(text):
            gaps.append(text[ends[-1] : found.start()])
            ends.append(found.end())
        if not gaps:
            return text
        self._random.seed(seed)
        words = self._augmenter.augment(text)[0]
        if isinstance(words, str):  # nlpaug hands the text back where it finds nothing to change
            return text
        if self._deletes:
            gone = set(self._drawn)
            if {0, 1} <= gone:  # nlpaug brings word 1 back when it gives it the case of word 0
                gone.remove(1)
            gaps = [gaps[0], *(gap for i, gap in enumerate(gaps) if i and i not in gone)]
            if 0 in gone:
                del gaps[1]
        spaced = [part for pair in zip(gaps, words, strict=True) for part in pair]
        return "".join([*spaced, text[ends[-1] :]])

    def _sample(self, choices: Sequence[Any], count: int) -> list[Any]:
        self._drawn = self._random.sample(choices, count)
        return self._drawn.copy()


def _augmenter(method: str, rate: float) -> Any:
    """Return the nlpaug augmenter of a method, without its default limit of ten words per text."""
    char = importlib.import_module("nlpaug.augmenter.char")
    word = importlib.import_module("nlpaug.augmenter.word")
    words = {"aug_p": rate, "aug_max": None}
    letters = {"aug_word_p": rate, "aug_word_max": None, "aug_char_p": 0.1, "aug_char_min": 1}
    if method == "keyboard":
        only_letters = ("include_special_char", "include_numeric", "include_upper_case")
        return char.KeyboardAug(**letters, **dict.fromkeys(only_letters, False))
    if method == "ocr":
        return char.OcrAug(**letters)
    if method == "spelling":
        augmenter = word.SpellingAug(**words, include_reverse=False)
        # nlpaug lists misspellings in the order of a set, which differs between processes.
        choices = augmenter.model.dict
        augmenter.model.dict = {w: sorted(set(m) - {"", w}) for w, m in choices.items()}
        return augmenter
    if method == "synonym":
        return word.SynonymAug(aug_src="wordnet", **words)
    return word.RandomWordAug(action=method.removesuffix("_words"), **words)


def _check_nltk_data() -> None:
    """Refuse synonyms if nltk or its data is missing: nlpaug would download it during the run."""
    command = f"python -m nltk.downloader {' '.join(NLTK_DATA)}"
    try:
        nltk = importlib.import_module("nltk")
    except ImportError as error:
        raise UserError(
            f"method: synonym needs nltk and its data; run: pip install nltk, then: {command}"
        ) from error
    missing = [name for name, path in NLTK_DATA.items() if not _nltk_has(nltk, path)]
    if missing:
        raise UserError(
            f"method: synonym needs the nltk data {', '.join(missing)}, not found here; "
            f"run: {command}"
        )


def _nltk_has(nltk: Any, path: str) -> bool:
    for name in (path, f"{path}.zip"):
        try:
            nltk.data.find(name)
        except LookupError:
            continue
        return True
    return False
