"""One run per output: a lock that names its owner and does not outlive it."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines import files
from pipelines.engine.orphans import born
from pipelines.errors import UserError
from pipelines.store_errors import STORE_ERRORS


@dataclass(frozen=True)
class Owner:
    """The process that makes an output."""

    host: str
    process: int
    born: str
    """When the process started, as the system counts; tells it from a later one of its number."""
    started: str
    """When the run started, in UTC."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.started}"

    @property
    def is_dead(self) -> bool:
        """Whether the process is surely gone: of another host nobody here can tell."""
        return self.host == socket.gethostname() and born(self.process) != self.born


@contextmanager
def owned(out: str) -> Iterator[None]:
    """Own an output folder, and the work folders beside it, until the block ends.

    On a disk the system's lock on `.<name>.lock` decides, which ends with its process, however that
    ends. An object store has no such lock: there the object is written, and read again after others
    that began at the same moment had time to write theirs; the one that stands owns the output.

    Raises:
        UserError: another run owns it; names that.
    """
    folder, _, name = out.rpartition("/")
    path, mine = f"{folder}/.{name}.lock", _myself()
    with _on_store(path, out, mine) if files.is_remote(out) else _on_disk(path, out, mine):
        yield


@contextmanager
def _on_disk(path: str, out: str, mine: Owner) -> Iterator[None]:
    import fcntl

    files.make_dirs(str(Path(path).parent))
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(os.read(held, 4096))
            os.close(held)
            raise UserError(_refusal(out, owner)) from None
        with suppress(FileNotFoundError):  # unless its owner took it away just now
            if Path(path).stat().st_ino == os.fstat(held).st_ino:
                break
        os.close(held)
    try:
        os.truncate(held, 0)
        os.write(held, json.dumps(asdict(mine)).encode())
        yield
    finally:
        with suppress(FileNotFoundError):
            Path(path).unlink()
        os.close(held)


SETTLE = 1.0
"""Seconds in which runs that begin together on an object store have written their locks."""


@contextmanager
def _on_store(path: str, out: str, mine: Owner) -> Iterator[None]:
    if files.exists(path):
        owner = _owner(files.read_bytes(path))
        if owner is None or not owner.is_dead:
            raise UserError(f"{_refusal(out, owner)}; if that run is dead, remove {path}")
    written = json.dumps(asdict(mine)).encode()
    files.write_bytes_atomically(f"{path}.probe", written)
    files.remove_file(f"{path}.probe")  # what may not be removed is told before the work, not after
    files.write_bytes_atomically(path, written)
    time.sleep(SETTLE)
    found = files.read_bytes(path)
    if found != written:
        raise UserError(_refusal(out, _owner(found)))
    try:
        yield
    except BaseException:
        with suppress(*STORE_ERRORS):  # what ended the run is what is told
            files.remove_file(path)
        raise
    files.remove_file(path)


def _refusal(out: str, owner: Owner | None) -> str:
    who = "another run" if owner is None else f"another run ({owner})"
    return f"{out} is being written by {who}: wait for it, or write to another folder with --out"


def _owner(raw: bytes) -> Owner | None:
    """Return who a lock names; None where it was caught half-written."""
    try:
        found: Any = json.loads(raw)
        return Owner(**found)
    except (ValueError, TypeError):
        return None


def _myself() -> Owner:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Owner(socket.gethostname(), os.getpid(), born(os.getpid()), now)
