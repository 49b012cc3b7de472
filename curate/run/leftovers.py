"""Work folders beside an output: what a run takes up of its own, and what others left there."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from curate.run.lock import owned
from pipelines import files
from pipelines.errors import counted

STATE = re.compile(r"shards/\d+/s(\d+)-[0-9a-f]{12}\.json$")
"""File that marks a segment of a working shard as done; the group is the segment's number."""


@dataclass(frozen=True)
class Leftover:
    """A work folder that no finished run has removed."""

    path: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.path}  {self.bytes / 1e6:,.1f} MB"


def work_folder(out: str, digest: str) -> str:
    """Return the work folder of a run: another recipe, input or cut of it is another folder."""
    return f"{_prefix(out)}{digest}"


def leftovers(out: str, but: str = "") -> list[Leftover]:
    """Return the work folders beside an output, but for one, by name."""
    folder, _, _ = out.rpartition("/")
    prefix = _prefix(out).rpartition("/")[2]
    names = [path.rstrip("/").rpartition("/")[2] for path in files.list_all(folder)]
    found = [f"{folder}/{name}" for name in sorted(names) if name.startswith(prefix)]
    return [Leftover(path, files.size_below(path)) for path in found if path != but]


def remove_leftovers(out: str, found: Iterable[Leftover]) -> None:
    """Remove work folders of an output that no run is writing.

    Raises:
        UserError: a run is writing it; names that.
    """
    with owned(out):
        for one in found:
            files.remove_tree(one.path)


def taken_up(work: str) -> Iterator[str]:
    """Say what a run finds in its work folder; nothing where it begins anew."""
    if not files.exists(f"{work}/shards"):
        return
    segments: dict[Any, int] = {}
    for name in files.list_below(work):
        if found := STATE.search(name):
            segments[int(found[1])] = segments.get(int(found[1]), 0) + 1
    if not segments:
        yield "taking up an interrupted run; it had finished nothing, so all is done again"
        return
    read, steps = segments.get(0, 0), sum(segments.values()) - segments.get(0, 0)
    more = f", {steps:,} as left by later steps" if steps else ""
    yield f"taking up an interrupted run: reuses {counted(read, 'working shard')} as read{more}"


def _prefix(out: str) -> str:
    folder, _, name = out.rpartition("/")
    return f"{folder}/.{name}.work-"
