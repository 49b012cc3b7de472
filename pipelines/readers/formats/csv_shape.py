"""What the records of a delimited file look like: tells records from the lines of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGEST_CODE = 32
_FEW = 3
_COMMON = 20
"""What more than one value in so many is, is common in its column."""


class Shape:
    """The kinds of value each column has.

    They are: empty, a number, a code (`a17`, `2024-01-31`), text, or text with spaces around it.
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
        return all(map(self._common, kinds, self._kinds))

    def tells(self, lines: int) -> bool:
        """Tell whether it is no accident that so many lines fit.

        Three records are enough where four in five of a column are numbers or codes of one kind;
        without one it takes more records and lines.
        """
        if self.seen < _FEW:
            return False
        for kinds in self._kinds:
            ((kind, count),) = kinds.most_common(1)
            if kind not in ("empty", "spaced", "text") and 5 * count >= 4 * self.seen:
                return True
        return self.seen >= _COMMON and lines >= _FEW + 2

    def _common(self, kind: str, kinds: Counter[str]) -> bool:
        count = kinds[kind] + (kinds["text"] if "9" in kind else 0)
        return count * _COMMON > self.seen

    def spans_lines(self, row: list[str]) -> bool:
        """Tell whether values over several lines are common where this record has one."""
        long = zip(row, self._long, strict=False)
        least = max(_FEW, self.seen // _COMMON + 1)
        return any("\n" in value and count >= least for value, count in long)


def _kind(value: str) -> str:
    """Return the kind of a value; that of a code is the code with its letters and digits alike."""
    if not value:
        return "empty"
    if "\n" in value:
        return "text"
    if value != value.strip():
        return "spaced"
    if _NUMBER.fullmatch(value):
        return "number"
    if len(value) > _LONGEST_CODE or " " in value or not _DIGITS.search(value):
        return "text"
    return _DIGITS.sub("9", _LETTERS.sub("a", value))
