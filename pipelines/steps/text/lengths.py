"""`word_count` and `char_count`: bounds on how long a text is."""

from typing import ClassVar, Literal, Self

import pyarrow.compute as pc
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.rows import Rows
from pipelines.rows.views import tokens_of
from pipelines.steps.step import Chance, Filter, Verdicts, within


class LengthBounds(Filter):
    """Inclusive bounds on a length; a null text has length 0."""

    needs: ClassVar[tuple[str, ...]] = ("text",)
    reasons: ClassVar[tuple[str, ...]] = ("too_short", "too_long")

    at_least: int = Field(default=0, ge=0)
    """Least length of a kept text."""
    at_most: int | None = Field(default=None, ge=0)
    """Greatest length of a kept text; null is no bound."""

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.at_most is not None and self.at_most < self.at_least:
            raise UserError(
                f"at_most ({self.at_most}) is below at_least ({self.at_least}): no text can pass"
            )
        return self


class WordCount(LengthBounds):
    """Drop texts with too few or too many words.

    A word is a run of letters, digits and `_` with their accents and vowel signs, and with the
    apostrophes between them; in scripts written without spaces each character, with its marks, is
    one. Punctuation is never a word.
    """

    op: Literal["word_count"] = "word_count"

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Drop a text as `too_short` or `too_long`; the value is its number of words."""
        words = tokens_of(rows).counts
        return within(words, self.at_least, self.at_most, below="too_short", above="too_long")


class CharCount(LengthBounds):
    """Drop texts with too few or too many characters (Unicode code points)."""

    op: Literal["char_count"] = "char_count"

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Drop a text as `too_short` or `too_long`; the value is its number of characters."""
        chars = pc.utf8_length(rows.text).fill_null(0).to_numpy(zero_copy_only=False)
        return within(chars, self.at_least, self.at_most, below="too_short", above="too_long")
