"""Lines of delimited text on their way into records: those of the record being read are held."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.readers.line_blocks import Block
from pipelines.readers.records import Unreadable
from pipelines.readers.strangers import may_be_latin, stranger

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

LONGEST_RECORD = 16 << 20
"""Bytes that a record over several lines has at most; a quote open for longer is a stray one."""
_LONGEST_FIELD = 1 << 31
_PORTION = 256
"""Lines held at a time."""
_BOM = "\ufeff"
_FIRST_END_IS_RETURN = re.compile(rb"[^\r\n]*\r(?!\n)")
_LONE_RETURN = re.compile(r"(?<=\r)(?!\n|\Z)")


@dataclass(frozen=True)
class Dialect:
    """How fields are set apart."""

    delimiter: str
    quote: str | None

    def reader(self, lines: Iterable[str]) -> CsvReader:
        """Return the strict reader of `csv` over lines with their ends."""
        csv.field_size_limit(_LONGEST_FIELD)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )

    def alone(self, line: str) -> list[str] | None:
        """Return the fields of a line read on its own; None if its quoting is broken or open."""
        try:
            return next(self.reader((line,)))
        except csv.Error:
            return None

    def opens(self, line: str) -> bool:
        """Tell whether a line read on its own leaves a quote open."""
        try:
            next(self.reader((line, "")))
        except csv.Error as error:
            return "unexpected end" in str(error)
        return False

    def well_formed(self, record: str) -> bool:
        """Tell whether quotes stand around whole fields only, as RFC 4180 has them."""
        if not self.quote or self.quote not in record:
            return True
        return self._record.fullmatch(record) is not None

    @cached_property
    def _record(self) -> re.Pattern[str]:
        q, d = re.escape(self.quote or ""), re.escape(self.delimiter)
        field = f"(?:{q}(?:[^{q}]++|{q}{q})*+{q}|[^{q}{d}\r\n]*+)"
        return re.compile(f"{field}(?:{d}{field})*+(?:\r?\n|\r)?")


class HeldLines:
    """The lines of a file from that of the record being read on."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._read = self._portions(blocks)
        self.at = 0
        """Line, from 0, that the record being read begins in."""
        self.first = 0
        """The first line held."""
        self.texts: list[str] = []
        self.starts: list[int] = [0]
        """Byte each line held starts at, and the byte after the last."""
        self.failed: Unreadable | None = None
        self.gaps: dict[int, str] = {}
        """What is lost, by the byte of the line that stands for it."""

    @property
    def end(self) -> int:
        """The line after those held."""
        return self.first + len(self.texts)

    def start(self, line: int) -> int:
        """Return the byte a line held starts at."""
        return self.starts[line - self.first]

    def text(self, line: int, stop: int) -> str:
        """Return lines that are held, with their ends."""
        return "".join(self.texts[line - self.first : stop - self.first])

    def portions(self, line: int) -> Iterator[list[str]]:
        """Yield the lines from `line` on; ends with the file or where a record is too long."""
        while line < self.end or (not self.too_long() and self._more()):
            part = self.texts[line - self.first :]
            line += len(part)
            yield part

    def too_long(self) -> bool:
        """Tell whether the lines held are longer than a record may be."""
        return self.starts[-1] - self.start(self.at) > LONGEST_RECORD

    def longest(self, line: int) -> int:
        """Return the line at which a record that begins in `line` is too long."""
        return self.first + bisect_right(self.starts, self.start(line) + LONGEST_RECORD)

    def ahead(self, line: int, most: int, most_bytes: int) -> list[str]:
        """Return up to so many lines from `line` on, without moving on."""
        while self.end < line + most and self.starts[-1] <= self.start(line) + most_bytes:
            if not self._more():
                break
        enough = bisect_right(self.starts, self.start(line) + most_bytes) - 1
        return self.texts[line - self.first : min(line + most - self.first, enough)]

    def _more(self) -> bool:
        """Read further lines and let go of those before the record."""
        texts, starts = next(self._read, ([], []))
        if not texts:
            return False
        gone = self.at - self.first
        del self.texts[:gone], self.starts[:gone]
        self.first = self.at
        self.starts.pop()
        self.texts += texts
        self.starts += starts
        return True

    def _portions(self, blocks: Iterator[Block]) -> Iterator[tuple[list[str], list[int]]]:
        """Yield lines, few enough for the caches, and the bytes they start and end at."""
        returns: bool | None = None
        try:
            for block in blocks:
                if block.gap:
                    self.gaps[block.offset] = block.gap
                if returns is None:
                    returns = _FIRST_END_IS_RETURN.match(block.data) is not None
                text = block.data.decode(errors="surrogateescape")
                source = io.StringIO(text, newline="" if returns else "\n")
                starts = _starts_between_returns(block, text) if returns else block.offsets.tolist()
                starts.append(block.offset + len(block.data))
                at = 0
                while lines := list(islice(source, _PORTION)):
                    stop = at + len(lines)
                    if block.offset == at == 0:
                        lines[0] = lines[0].removeprefix(_BOM)
                    if lines[0]:
                        yield lines, starts[at : stop + 1]
                    at = stop
        except Unreadable as error:
            self.failed = error


def _starts_between_returns(block: Block, text: str) -> list[int]:
    sizes = [size_of(line) for line in io.StringIO(text, newline="")]
    return list(accumulate(sizes[:-1], initial=block.offset))


def size_of(text: str) -> int:
    """Return the bytes that text was read from."""
    return len(text.encode(errors="surrogateescape"))


def parts(line: str) -> list[str]:
    """Return what carriage returns that stand alone set apart in a line."""
    return _LONE_RETURN.split(line) if "\r" in line else [line]


def header(lines: HeldLines, dialect: Dialect, name: str) -> list[str]:
    """Return the fields of the first record and move past it.

    Raises:
        UserError: it cannot be read.
    """
    reader = dialect.reader(chain.from_iterable(lines.portions(0)))
    try:
        names = next((row for row in reader if row), [])
    except csv.Error as error:
        if lines.failed is not None:
            return []
        raise UserError(f"{name}: the header line is broken: {error}") from error
    lines.at = reader.line_num
    if any("\udc80" <= letter <= "\udcff" for letter in "".join(names)):
        raw = ",".join(names).encode(errors="surrogateescape")
        said = stranger(raw) or may_be_latin(raw)
        raise UserError(f"{name}: the header line is not valid UTF-8{f'; {said}' if said else ''}")
    return [field or f"unnamed_{i}" for i, field in enumerate(names)]
