"""`normalize_text`: one spelling of Unicode, white space and invisible characters."""

import html
import operator
import re
import unicodedata
from typing import ClassVar, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.maths.text.whitespace import tidy
from pipelines.rows import Rows
from pipelines.steps.step import Chance, Map

UNSEEN = r"(?is)<!--.*?-->|<script\b.*?</script\s*>|<style\b.*?</style\s*>"
BLOCK_TAG = (
    r"(?i)</?(?:address|article|aside|blockquote|br|dd|div|dl|dt|fieldset|figure|footer|form|"
    r"h[1-6]|header|hr|li|main|nav|ol|p|pre|section|table|td|th|tr|ul)\b[^<>]*>"
)
ANY_TAG = r"</?[A-Za-z][^<>]*>|<![A-Za-z][^<>]*>"
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


class NormalizeText(Map):
    """Clean up Unicode, white space and invisible characters of each text.

    Control characters, byte order marks, zero-width spaces and word joiners are removed; runs of
    white space become one space, one newline or one blank line; both ends are stripped. Texts that
    differ only in these things become equal byte for byte, so put it before deduplication. A null
    stays null. Applying it twice changes nothing more (except with `html: true`: `&amp;lt;`).
    """

    op: Literal["normalize_text"] = "normalize_text"
    needs: ClassVar[tuple[str, ...]] = ("text",)

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    """Normal form (Unicode Annex 15). NFKC also unifies ligatures, full-width letters, ² and ½,
    which changes what the text says; NFC does not."""
    lowercase: bool = False
    """Whether to lowercase the text as well."""
    html: bool = False
    """Whether to remove HTML first: scripts, comments and tags (a block tag becomes a newline), and
    to decode entities then. For remains such as `<br />`, not for whole pages."""

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows with the text column normalised."""
        column = rows.column(rows.columns.text, "text")
        text = rows.text
        if self.html:
            text = strip_html(text)
        text = tidy(text)
        if self.unicode != "none" or self.lowercase:
            text = self._spell(text)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            text = text.cast(column.type)
        return rows.replace(cast("str", rows.columns.text), text)

    def _spell(self, text: pa.Array) -> pa.Array:
        """Bring letters into their normal form; ASCII texts are in it already."""
        if self.lowercase:
            text = pc.utf8_lower(normal_form(text, self.unicode))
        text = normal_form(text, self.unicode)
        return tidy(text) if self.unicode == "NFKC" else text  # NFKC of ¨ begins with a space


def normal_form(text: pa.Array, form: Literal["NFC", "NFKC", "none"]) -> pa.Array:
    """Return the texts in a Unicode normal form; ASCII texts are in it already.

    The others pass through Python one by one, because `pc.utf8_normalize` decomposes whatever form
    it is asked for (apache/arrow#51225; pyarrow 24 and 25). Most are in the right form already.
    """
    beyond = pc.invert(pc.string_is_ascii(text)).fill_null(False)
    if form == "none" or not pc.any(beyond).as_py():
        return text
    given = text.filter(beyond).to_pylist()
    normal = [unicodedata.normalize(form, one) for one in given]
    if all(map(operator.is_, normal, given)):
        return text
    return pc.replace_with_mask(text, beyond, pa.array(normal, text.type))


def strip_html(text: pa.Array) -> pa.Array:
    """Return the texts without tags, comments and scripts, and with entities decoded."""
    for pattern, replacement in ((UNSEEN, ""), (BLOCK_TAG, "\n"), (ANY_TAG, "")):
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    coded = pc.match_substring_regex(text, ENTITY.pattern).fill_null(False)
    if not pc.any(coded).as_py():
        return text
    # Arrow has no compiled decoder of entities: only the texts that have one pass through Python.
    decoded = [
        ENTITY.sub(lambda found: html.unescape(found[0]), one)
        for one in text.filter(coded).to_pylist()
    ]
    mask = pa.array(np.asarray(coded.to_numpy(zero_copy_only=False)))
    return pc.replace_with_mask(text, mask, pa.array(decoded, text.type))
