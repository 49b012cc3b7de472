"""What a worker is at, in a small file that its driver reads: who hangs can't be asked.

Each process that works for a driver on this machine keeps `pulse/<process>.json` in the work
folder: it is written anew whenever the process goes on to another batch, step or round, a few
microseconds each.
"""

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.engine.orphans import born

FOLDER = "pulse"
_ROOM = 4096
"""Bytes of a file, taken when it is made: it can be written although the disk is full."""
_LONGEST = 2000
"""Characters of what a worker says of its failure."""


@dataclass(frozen=True)
class Beat:
    """What a process is at."""

    process: int
    born: str
    at: float
    """Since when, in seconds since 1970."""
    step: int | None = None
    """Number of the step, 0 for reading, None where it is none."""
    op: str = ""
    """Of the step, or the name of the round; empty where the process waits for work."""
    shard: int | None = None
    first: int | None = None
    last: int | None = None
    """Keys of the first and the last row of the batch, None where it is no batch of rows."""
    failed: str | None = None
    """Why it can't go on, as JSON of `Failure`."""

    @property
    def is_idle(self) -> bool:
        """Whether the process waits for work."""
        return not self.op


@dataclass(frozen=True)
class Failure:
    """Why a worker can't go on."""

    said: str
    user: bool
    """Whether the user can mend it."""
    known: bool
    """Whether it is no fault of the program."""


class Halted(RuntimeError):
    """The driver has given up on the run; its work in this process ends here."""


class _Pulse:
    """The file of this process."""

    def __init__(self, work: str) -> None:
        folder = Path(work) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.work, self.born = work, born(os.getpid())
        self.last = Beat(os.getpid(), self.born, time.time())
        self._file = os.open(folder / f"{os.getpid()}.json", os.O_RDWR | os.O_CREAT, 0o644)

    def close(self) -> None:
        os.close(self._file)

    def write(self, beat: Beat) -> None:
        self.last = beat
        text = json.dumps(asdict(beat)).encode()
        with suppress(OSError):  # a full disk will be told by what the run itself writes
            os.pwrite(self._file, text.ljust(_ROOM), 0)


_here: _Pulse | None = None
_halted = threading.Event()


def begin(work: str, *, watched: bool) -> None:
    """Start to keep the file of this process, unless the driver of the run watches none."""
    global _here
    if _here is not None and not (watched and _here.work == work):
        _here.close()
        _here = None
    if watched and _here is None:
        _here = _Pulse(work)


def beat(
    step: int | None = None,
    op: str = "",
    shard: int | None = None,
    first: int | None = None,
    last: int | None = None,
) -> None:
    """Tell what this process goes on to.

    Raises:
        Halted: the driver has given up.
    """
    if _here is None:
        return
    if _halted.is_set():
        raise Halted("the run was given up")
    _here.write(Beat(os.getpid(), _here.born, time.time(), step, op, shard, first, last))


def fail(said: str, *, user: bool, known: bool) -> None:
    """Tell the driver why the run can't go on."""
    if _here is not None:
        failure = Failure(said[:_LONGEST], user, known)
        _here.write(replace(_here.last, failed=json.dumps(asdict(failure))))


def halt() -> None:
    """Have the work that goes on in this process end at its next beat."""
    _halted.set()


def is_halted() -> bool:
    """Tell whether the driver has given up on the run in this process."""
    return _halted.is_set()


def resume() -> None:
    """Let work go on in this process: a new run begins."""
    _halted.clear()
    begin("", watched=False)


def beats(work: str) -> list[Beat]:
    """Return what each process of a run is at, also of those that are gone."""
    found = []
    for path in Path(work, FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, TypeError):  # caught half-written
            found.append(Beat(**json.loads(path.read_bytes())))
    return found


def failure_of(work: str) -> Failure | None:
    """Return why a worker of a run failed, the first of those that did."""
    failed = [one for one in beats(work) if one.failed is not None]
    first = min(failed, key=lambda one: one.at, default=None)
    return None if first is None else Failure(**json.loads(str(first.failed)))
