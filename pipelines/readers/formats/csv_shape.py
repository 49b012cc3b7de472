"""What the records of a delimited file look like: tells records from the lines of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_COMMON = 20
"""What more than one value in so many is, is common in its column."""


class Shape:
    """The kinds of value each column has: empty, a number, text, or text with spaces around it.

    Lines of prose or code that have as many delimiters as a record by accident have a word where
    the records have a number, or the space that follows a comma.
    """

    def __init__(self, width: int) -> None:
        self.seen = 0
        """Records learned from."""
        self._kinds: list[Counter[str]] = [Counter() for _ in range(width)]
        self._long = [0] * width

    def learn(self, row: list[str]) -> None:
        """Take a record's values into account."""
        self.seen += 1
        for i, value in enumerate(row):
            self._kinds[i][_kind(value)] += 1
            self._long[i] += "\n" in value

    def with_more(self, rows: Iterable[list[str]]) -> Shape:
        """Return what this and further records look like."""
        more = Shape(len(self._kinds))
        more.seen = self.seen
        more._kinds = [Counter(kinds) for kinds in self._kinds]
        more._long = list(self._long)
        for row in rows:
            more.learn(row)
        return more

    def fits(self, row: list[str]) -> bool:
        """Tell whether each value is of a kind that is common in its column.

        Before any record is known, whatever has no spaces around it fits.
        """
        kinds = map(_kind, row)
        if not self.seen:
            return "spaced" not in kinds
        common = zip(kinds, self._kinds, strict=True)
        return all(count[kind] * _COMMON > self.seen for kind, count in common)

    def spans_lines(self, row: list[str]) -> bool:
        """Tell whether values over several lines are common where this record has one."""
        long = zip(row, self._long, strict=False)
        return any("\n" in value and count * _COMMON > self.seen for value, count in long)


def _kind(value: str) -> str:
    if not value:
        return "empty"
    if "\n" in value:
        return "text"
    if value != value.strip():
        return "spaced"
    return "number" if _NUMBER.fullmatch(value) else "text"
