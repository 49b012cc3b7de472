"""Words of the data or of a recipe, made fit to be shown: what has no shape is told by its number.

Such words are hostile: they may hold terminal escapes, marks that turn the reading direction
around, half a surrogate pair, or ten megabytes.
"""

import re

SHOWN = 400
"""Characters of a text that are shown."""

# Zero-width joiners stay: Persian and emoji are spelt with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def visible(text: str, most: int = SHOWN) -> str:
    """Return at most `most` characters of a text, those without a shape as their number: `⟨202E⟩`.

    These are control characters, marks of direction, zero-width characters, lone surrogates.
    """
    cut = text[:most]
    shown = _HIDDEN.sub(lambda match: f"⟨{ord(match[0]):04X}⟩", cut.replace("\r\n", "\n"))
    return f"{shown}…" if len(text) > most else shown


def printable(text: str) -> str:
    """Return a text for the terminal, whole, without anything that steers it."""
    return visible(text, len(text))
