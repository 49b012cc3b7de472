"""Dataset text made fit to be shown: bounded, escaped, hidden characters visible, changes marked.

Text of a corpus is hostile: it may hold markup, control characters, marks that turn the reading
direction around, half a surrogate pair, or ten megabytes.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from curate.visible import SHOWN, visible

COMPARED = 1000
"""Characters compared, so that the cut end of one passage is not taken for a change."""
LEAD = 120
"""Characters shown before the first difference."""
SEARCHED = 100_000
"""Characters in which the first difference is looked for."""
ALIKE = 0.35
"""Least share of common words at which marking the others tells something."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_WORD = re.compile(rf"\s+|[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Passage:
    """A part of a text as HTML, and in words which part it is ("" where it is all of it)."""

    html: Markup
    note: str


def excerpt(text: str) -> Passage:
    """Return the beginning of a text; nothing of a blank one."""
    if not text or text.isspace():
        return Passage(Markup(), _part(text, 0))
    words = _words(text[: SHOWN + 1])
    return Passage(_html(words, set()), _part(text, 0))


def side_by_side(text: str, other: str) -> tuple[Passage, Passage]:
    """Return the passages of two like texts where they begin to differ, differing words marked.

    Texts with few words in common are shown from their beginning without marks.
    """
    if text == other or not text.strip() or not other.strip():
        return excerpt(text), excerpt(other)
    start = _start(text, other)
    left, right = (_words(t[start : start + COMPARED]) for t in (text, other))
    marked = _changes(left, right)
    if marked is None:
        return excerpt(text), excerpt(other)
    return (
        Passage(_html(left, marked[0], start), _part(text, start)),
        Passage(_html(right, marked[1], start), _part(other, start)),
    )


def _start(text: str, other: str) -> int:
    """Return where to begin so that the first difference is seen."""
    pairs = zip(text[:SEARCHED], other[:SEARCHED], strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(other)))
    if not SHOWN * 3 // 4 <= same < SEARCHED:
        return 0
    start = same - LEAD
    space = text.find(" ", start, same)
    return start if space < 0 else space + 1


def _changes(left: list[str], right: list[str]) -> tuple[set[int], set[int]] | None:
    """Return the positions of the words on each side that the other lacks; None if too many do."""
    here, there = ([i for i, word in enumerate(w) if not word.isspace()] for w in (left, right))
    matcher = difflib.SequenceMatcher(None, [left[i] for i in here], [right[i] for i in there])
    if matcher.ratio() < ALIKE:
        return None
    out: tuple[set[int], set[int]] = (set(), set())
    for tag, start, stop, other_start, other_stop in matcher.get_opcodes():
        if tag != "equal":
            out[0].update(here[start:stop])
            out[1].update(there[other_start:other_stop])
    return out


def _words(text: str) -> list[str]:
    """Return a text as words and the white space between them, nothing lost."""
    shown = visible(text, COMPARED)
    return _WORD.findall(re.sub(r"\n\s*\n\s*\n", "\n\n", shown))


def _html(words: list[str], marked: set[int], start: int = 0) -> Markup:
    """Return SHOWN characters of words as HTML; neighbours that are marked share one mark."""
    out = Markup("… ") if start else Markup()
    for mark, piece in _runs(words, marked):
        out += Markup("<mark>{}</mark>").format(piece) if mark else escape(piece)
    return out


def _runs(words: list[str], marked: set[int]) -> Iterator[tuple[bool, str]]:
    room = SHOWN
    run, run_marked = "", False
    for i, word in enumerate(words):
        between = word.isspace() and i - 1 in marked and i + 1 in marked
        mark = i in marked or between
        if mark != run_marked:
            yield run_marked, run
            run, run_marked = "", mark
        run += word[:room]
        room -= len(word)
        if room < 0:
            run += "…"
            break
    yield run_marked, run


def _part(text: str, start: int) -> str:
    if not text:
        return "empty"
    if text.isspace():
        return f"blank: {len(text):,} characters of white space"
    if start == 0 and len(text) <= SHOWN:
        return ""
    if start == 0:
        return f"first {SHOWN} of {len(text):,} characters"
    return f"from character {start + 1:,} of {len(text):,}, where they differ"
