"""Records of delimited text; damage is kept to the lines it stands in.

A stray quote opens a field that runs on until another quote ends it, by accident, hundreds of
records later. So a record that turns out broken loses its first line alone, and the lines after it
are read again on their own. A record is broken if

- its quoting is: text follows a closing quote, the file ends, or it is longer than
  `LONGEST_RECORD`;
- it spans lines and has another number of fields than the header, and a quote stands inside an
  unquoted field; with quotes around whole fields only it is one record, lost as one;
- it spans lines and nine in ten of them, the first and the last without the quote that joins them,
  are each a record like the others of the file: as many fields as the header, of the kinds the
  columns have (`Shape`). In a file where such text is common in its column, quotes are believed.

Lines inside a broken record are records if they have as many fields as the header and quotes
around whole fields only. What is left of a broken text is no record: from a broken record on,
lines are lost until one has values like those of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from pipelines.readers.formats.csv_lines import LONGEST_RECORD, Dialect, HeldLines, parts, size_of
from pipelines.readers.formats.csv_shape import Shape
from pipelines.readers.records import Unreadable

Found = tuple[int, int, list[str] | str]
"""Byte and line, from 0, that a record begins at, and its fields, or in words why it is lost."""

_LEARNED = 100
"""Records that the shape of a file is learned from, and lines looked ahead if there are fewer."""
_LOOK_AHEAD = 1 << 20
"""Bytes looked ahead at most."""

_RETURN = "a carriage return stands alone in an unquoted field, and its line is not several records"


def csv_records(lines: HeldLines, dialect: Dialect, width: int) -> Iterator[Found]:
    """Yield the records of `width` fields from `lines.at` on, and the lines that are lost.

    Where the file cannot be read on, `lines.failed` says from which record.
    """
    return _Parser(lines, dialect, width).found()


class _Parser:
    def __init__(self, lines: HeldLines, dialect: Dialect, width: int) -> None:
        self._lines, self._dialect, self._width = lines, dialect, width
        self._shape = Shape(width)
        self._near, self._near_end = self._shape, -1
        self._broken, self._broken_end = -1, -1
        """Lines of the last broken record."""
        self._doubt = False
        """Whether no record is known since."""
        self._restart(lines.at)

    def _restart(self, line: int) -> None:
        self._source = chain.from_iterable(self._lines.portions(line))
        self._reader, self._base = self._dialect.reader(self._source), line

    def _careful(self) -> bool:
        """Tell whether the next line needs more than the right number of fields."""
        damaged = self._doubt or self._lines.at < self._broken_end
        return damaged or self._shape.seen < _LEARNED

    def found(self) -> Iterator[Found]:
        lines, width = self._lines, self._width
        while True:
            reader, base, at, careful = self._reader, self._base, lines.at, self._careful()
            try:
                for row in reader:
                    end = base + reader.line_num
                    whole = end - at == 1 or self._plainly_one(row, at, end)
                    if careful or not whole or len(row) != width:
                        yield from self._look(row, end)
                        break
                    lines.at = end
                    yield lines.starts[at - lines.first], at, row
                    at = end
                else:
                    return
            except csv.Error as error:
                yield from self._error(str(error))

    def _look(self, row: list[str], end: int) -> Iterator[Found]:
        """Yield what a record is that is not plainly good."""
        at = self._lines.at
        if end > at + 1:
            yield from self._several(row, end)
            return
        if row:
            yield self._judged(row, at, end)
        self._lines.at = end

    def _judged(self, row: list[str], line: int, end: int) -> Found:
        """Return a record, or why it is lost."""
        wrong = self._wrong(row, line, end)
        if wrong is None:
            self._doubt = False
            if self._shape.seen < _LEARNED:
                self._shape.learn(row)
        return self._lines.start(line), line, wrong or row

    def _wrong(self, row: list[str], line: int, end: int) -> str | None:
        inside = line < self._broken_end
        if len(row) != self._width:
            where = f"; {self._inside}" if inside else ""
            return f"{self._count(row)}{where}"
        if not (inside or self._doubt):
            return None
        if not self._dialect.well_formed(self._lines.text(line, end)):
            return f"a quote inside an unquoted field; {self._inside}"
        if self._doubt and not self._around(end).fits(row):
            return f"values unlike those of other records; {self._inside}"
        return None

    def _count(self, row: list[str]) -> str:
        return f"{len(row)} fields, but the header has {self._width}"

    @property
    def _inside(self) -> str:
        return f"it may be a part of the broken record of line {self._broken + 1}"

    def _several(self, row: list[str], end: int) -> Iterator[Found]:
        """Yield what a record over several lines is."""
        at, lines = self._lines.at, self._lines
        if lines.longest(at) <= end:
            yield from self._too_long()
        elif self._swallowed(row, end):
            yield from self._lose(
                end,
                f"broken quoting: a quote opened here closes in line {end}, but the lines between "
                "are like the other records of the file, and are read as records",
            )
        elif len(row) != self._width and self._dialect.well_formed(lines.text(at, end)):
            yield lines.start(at), at, f"{self._count(row)}; it ends in line {end}"
            lines.at = end
        elif wrong := self._wrong(row, at, end):
            yield from self._lose(end, f"broken quoting up to line {end}: {wrong}")
        else:
            yield self._judged(row, at, end)
            lines.at = end

    def _error(self, error: str) -> Iterator[Found]:
        """Yield what is lost, and what is not, where quoting is broken."""
        lines, at, end = self._lines, self._lines.at, self._base + self._reader.line_num
        never = "unexpected end of data" in error
        if (never or end > at + 1) and lines.longest(at) <= end:
            yield from self._too_long()
        elif never and lines.failed is not None and not self._like_records(at, end, end):
            lines.failed = Unreadable(lines.start(at), str(lines.failed))
            lines.at = end
        elif never:
            said = "broken quoting: a quote opened here is never closed"
            yield from self._lose(end, said, still_open=True)
        elif end == at + 1 and (rows := self._returned(at)):
            yield from rows
            lines.at = end
        else:
            where = f" in line {end}" if end > at + 1 else ""
            error = _RETURN if "new-line character" in error else error
            yield from self._lose(end, f"broken quoting{where}: {error}")

    def _too_long(self) -> Iterator[Found]:
        end = self._lines.longest(self._lines.at)
        most = f"{LONGEST_RECORD >> 20} MiB"
        said = f"broken quoting: a quote opened here is not closed within {most}"
        yield from self._lose(end, said, still_open=True)
        self._restart(end)

    def _returned(self, at: int) -> list[Found]:
        """Return the records of a line that carriage returns set apart; none if that fits ill."""
        found: list[Found] = []
        offset = self._lines.start(at)
        for part in parts(self._lines.text(at, at + 1)):
            row = self._dialect.alone(part)
            if row is None or len(row) != self._width or self._width == 1:
                return []
            found.append((offset, at, row))
            offset += size_of(part)
        return found

    def _lose(self, end: int, why: str, *, still_open: bool = False) -> Iterator[Found]:
        """Yield the first line of a broken record as lost, and what the others are on their own.

        A line of them that leaves a quote open would end as the broken record did; where that was
        in its last line, the record that may begin there is read on.
        """
        lines, at = self._lines, self._lines.at
        yield lines.start(at), at, why
        self._broken, self._broken_end, self._doubt = at, end, True
        lines.at = at + 1
        for line in range(at + 1, end):
            text = lines.text(line, line + 1)
            if line == end - 1 and not still_open and self._dialect.opens(text):
                self._reader = self._dialect.reader(chain((text,), self._source))
                self._base = line
                return
            row = self._dialect.alone(text)
            if row is None:
                yield lines.start(line), line, f"broken quoting; {self._inside}"
            elif row:
                yield self._judged(row, line, line + 1)
            lines.at = line + 1

    def _plainly_one(self, row: list[str], at: int, end: int) -> bool:
        """Tell whether a record's values hold too few delimiters for lines to be records."""
        starts, first = self._lines.starts, self._lines.first
        inner, delimiter = self._width - 1, self._dialect.delimiter
        held = sum([value.count(delimiter) for value in row])
        few = 10 * (held + inner) < 9 * (end - at) * inner
        return (few or not inner) and starts[end - first] - starts[at - first] <= LONGEST_RECORD

    def _swallowed(self, row: list[str], end: int) -> bool:
        """Tell whether a record over several lines is several records."""
        at = self._lines.at
        return self._like_records(at, end, end - 1) and not self._around(end).spans_lines(row)

    def _like_records(self, at: int, end: int, last: int) -> bool:
        """Tell whether nine in ten lines are like the records of the file.

        The first is taken without its last quote, and line `last` without its first.
        """
        quote, left = self._dialect.quote, (end - at) // 10
        if self._width == 1 or quote is None:
            return False
        shape = None
        for line in range(at, end):
            text = self._lines.text(line, line + 1)
            if line == at:
                text = "".join(text.rsplit(quote, 1))
            elif line == last:
                text = text.replace(quote, "", 1)
            row = self._dialect.alone(text)
            fits = row is not None and len(row) == self._width
            if fits:
                shape = shape or self._around(end)
                fits = shape.tells(end - at) and shape.fits(row or [])
            left -= not fits
            if left < 0:
                return False
        return True

    def _around(self, line: int) -> Shape:
        """Return the shape of the records; those from a line on tell, too, while few are known."""
        if self._shape.seen >= _LEARNED:
            return self._shape
        if line > self._near_end:
            ahead = self._lines.ahead(line, _LEARNED, _LOOK_AHEAD)
            self._near = self._shape.with_more(self._rows(ahead))
            self._near_end = line + len(ahead)
        return self._near

    def _rows(self, texts: list[str]) -> Iterator[list[str]]:
        """Yield the records in lines; where quoting is broken, those that single lines hold."""
        reader, at = self._dialect.reader(texts), 0
        while at < len(texts):
            try:
                rows = [next(reader)]
            except csv.Error:
                inside = texts[at + 1 : reader.line_num]
                rows = [self._dialect.alone(text) or [] for text in inside]
            yield from (row for row in rows if len(row) == self._width)
            at = reader.line_num
