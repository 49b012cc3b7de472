"""Workers on the machine of their driver end with it: no orphan works on in a folder taken up.

Worker processes of the local runner import this module as they start (Beam's `--beam_plugin`).
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CURATE_DRIVER"
"""Variable of the environment that names the driver to its workers."""
_LOOK_EVERY = 0.5
"""Seconds between two looks for the driver."""


@dataclass(frozen=True)
class Driver:
    """The process that waits for the workers of a run."""

    process: int
    born: str
    """When the process started, as the system counts; tells it from a later one of its number."""

    def __str__(self) -> str:
        return f"{self.process} {self.born}"


def born(process: int) -> str:
    """Return when a process started; empty where it is gone, or where the system does not tell."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_alive(process: int, since: str) -> bool:
    """Tell whether a process is there, and is the one that was born then, where that is known."""
    if since:
        return born(process) == since
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def end_with(driver: Driver) -> None:
    """Watch a driver, and end this process when it is gone."""
    threading.Thread(target=_watch, args=(driver,), daemon=True).start()


def _watch(driver: Driver) -> None:
    while is_alive(driver.process, driver.born):
        time.sleep(_LOOK_EVERY)
    os._exit(1)


def _named() -> Driver | None:
    """Return the driver of this process, None if it is none or has none."""
    process, _, since = os.environ.get(VARIABLE, "").partition(" ")
    if not process.isdecimal() or int(process) == os.getpid():
        return None
    return Driver(int(process), since)


if (_driver := _named()) is not None:
    end_with(_driver)
