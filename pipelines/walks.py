"""Walk a local folder: which files are read, and what is passed over and why.

Folders and globs are walked alike. What other engines and this one leave beside data is no data.
A link is followed once: to a file that is not read under its own name already, or to a folder that
was not entered. Links out of the input are followed only if that is asked for.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

HIDDEN = "hidden, by a dot at the start of the name"
LEFT_OVER = "work files or records of an engine"
NOWHERE = "links to nowhere"
OUTSIDE = "links out of the input (`read: {links: follow}` takes them)"
TWICE = "links to what is read already"
NO_FILE = "neither files nor folders"
OTHER_KIND = "files of other kinds"

_LEFT_OVER = frozenset(
    {"_curate", "_temporary", "_tmp", "_delta_log", "_spark_metadata", "_metadata"}
    | {
        "_common_metadata",
        "_SUCCESS",
        "__MACOSX",
        "__pycache__",
        "Thumbs.db",
        "desktop.ini",
        "_synthetic.json",
    }
)


def passed_name(name: str) -> str | None:
    """Return why an entry of this name is passed over, None where it is not."""
    if name.startswith("."):
        return HIDDEN
    return LEFT_OVER if name in _LEFT_OVER else None


def fits(parts: tuple[str, ...], pattern: tuple[str, ...], *, begins: bool = False) -> bool:
    """Tell whether the parts of a path match those of a glob, in which `**` is any folders.

    With `begins`, whether some path that begins with these parts may match.
    """
    if not pattern:
        return not parts
    if not parts:
        return begins or all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return fits(parts, pattern[1:], begins=begins) or fits(parts[1:], pattern, begins=begins)
    return fnmatchcase(parts[0], pattern[0]) and fits(parts[1:], pattern[1:], begins=begins)


def _shown(parts: tuple[str, ...]) -> str:
    """Return a path as text: bytes of a name that are no UTF-8 are told by their numbers."""
    return "/".join(parts).encode(errors="surrogateescape").decode(errors="backslashreplace")


@dataclass
class Walk:
    """One walk below a folder."""

    root: str
    pattern: tuple[str, ...] = ("**", "*")
    """Parts of a glob."""
    wanted: Callable[[str], bool] = lambda _: True
    """Tells by its name whether a file is of a kind that is read."""
    outside: bool = False
    """Whether links out of the folder are followed."""
    passed: list[tuple[str, str]] = field(default_factory=list)
    """Path below the root of each entry that was passed over, and why."""
    _entered: set[tuple[int, int]] = field(default_factory=set)
    _taken: set[tuple[int, int]] = field(default_factory=set)

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path and status of each file."""
        links: list[tuple[str, ...]] = []
        yield from self._enter((), links)
        while links:  # after all that is no link, so that what a link leads to is known
            yield from self._follow(links.pop(0), links)

    def _enter(
        self, folder: tuple[str, ...], links: list[tuple[str, ...]]
    ) -> Iterator[tuple[str, os.stat_result]]:
        path = self._path(folder)
        if not self._first(path.stat(), self._entered):
            self.passed.append((_shown(folder), TWICE))
            return
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            parts = (*folder, entry.name)
            why = passed_name(entry.name)
            if why and not self._named(parts):
                if why != HIDDEN or self._may_matter(parts):
                    self.passed.append((_shown(parts), why))
            elif entry.is_symlink():
                links.append(parts)
            elif entry.is_dir():
                if fits(parts, self.pattern, begins=True):
                    yield from self._enter(parts, links)
            else:
                yield from self._take(parts, entry.stat())

    def _follow(
        self, parts: tuple[str, ...], links: list[tuple[str, ...]]
    ) -> Iterator[tuple[str, os.stat_result]]:
        path, shown = self._path(parts), _shown(parts)
        try:
            target, status = Path(os.path.realpath(path)), path.stat()
        except OSError:  # a circle of links leads nowhere too
            self.passed.append((shown, NOWHERE))
            return
        if not self.outside and not target.is_relative_to(os.path.realpath(self.root)):
            self.passed.append((shown, OUTSIDE))
        elif stat.S_ISDIR(status.st_mode):
            if fits(parts, self.pattern, begins=True):
                yield from self._enter(parts, links)
        else:
            yield from self._take(parts, status)

    def _take(
        self, parts: tuple[str, ...], status: os.stat_result
    ) -> Iterator[tuple[str, os.stat_result]]:
        if not fits(parts, self.pattern):
            return
        shown, path = _shown(parts), self._path(parts)
        if not stat.S_ISREG(status.st_mode):
            self.passed.append((shown, NO_FILE))
        elif not self.wanted(parts[-1]):
            self.passed.append((shown, OTHER_KIND))
        elif path.is_symlink() and not self._first(status, self._taken):
            self.passed.append((shown, TWICE))
        else:
            self._taken.add((status.st_dev, status.st_ino))
            yield str(path), status

    @staticmethod
    def _first(status: os.stat_result, seen: set[tuple[int, int]]) -> bool:
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return False
        seen.add(identity)
        return True

    def _named(self, parts: tuple[str, ...]) -> bool:
        """Tell whether the pattern asks for names like the last of these."""
        return any(part[0] in "._" and fnmatchcase(parts[-1], part) for part in self.pattern)

    def _may_matter(self, parts: tuple[str, ...]) -> bool:
        """Tell whether a hidden entry is a file that would be read under another name."""
        return fits(parts, self.pattern) and self.wanted(parts[-1]) and self._path(parts).is_file()

    def _path(self, parts: tuple[str, ...]) -> Path:
        return Path(self.root, *parts)
