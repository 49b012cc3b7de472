"""The driver's side of a run on this machine: wait for it, and end it when it can't go on.

Runners wait for ever for a worker that died, or for a row that hangs a step. So they run in a
thread of their own; the main thread looks at what workers noted, whether they live, and whether
anything moves, and stays free for Ctrl-C.
"""

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pipelines.engine.orphans import VARIABLE, Driver, born, is_alive
from pipelines.engine.pulse import FOLDER, Beat, beats, failure_of, halt, is_halted, resume

LOOK_EVERY = 0.2
GRACE = 5.0
"""Seconds a runner has to end by itself after a worker failed."""
LEAVE_WITHIN = 2.0
"""Seconds a thread has to end after its run was given up."""
SAY_AFTER = 60.0
"""Seconds without movement after which it is said what does not move."""
RUNNER_TAKES = 60.0
"""Seconds in which a runner has workers started, or given something to do, at the least."""
_LAST_WORDS = 5
"""Lines of a dead worker's log that are shown."""

left_running: list[threading.Thread] = []
"""Threads that a run which was given up left: the process can't end by itself while they live."""


class WorkerLost(RuntimeError):
    """A worker process died, or nothing moved for too long; the message says which and where."""


def prepare(work: str) -> None:
    """Be the driver of a run, and forget what an earlier one left in its work folder."""
    os.environ[VARIABLE] = str(Driver(os.getpid(), born(os.getpid())))
    resume()
    for path in Path(work, FOLDER).glob("*.json"):
        path.unlink(missing_ok=True)


def wait_for(
    run: Callable[[], None],
    work: str,
    *,
    stalled_after: float | None,
    described: Callable[[Beat], str],
    say: Callable[[str], None],
) -> None:
    """Run `run` in a thread and wait for it.

    Args:
        run: runs a pipeline on this machine to its end.
        work: the work folder, on a disk of this machine.
        stalled_after: seconds without movement after which the run is given up; None: never.
        described: says in words what a process is at.
        say: is told what does not move.

    Raises:
        WorkerLost: a worker died, or nothing moved.
        Exception: what `run` raised.
    """
    raised: list[BaseException] = []

    def work_through() -> None:
        try:
            run()
        except BaseException as error:
            raised.append(error)

    before = set(threading.enumerate())
    thread = threading.Thread(target=work_through, name="pipeline", daemon=True)
    with _worker_deaths() as deaths:
        thread.start()
        watch = _Watch(work, stalled_after, described, say)
        try:
            while thread.is_alive():
                thread.join(LOOK_EVERY)
                if thread.is_alive():
                    watch.look(deaths)
        except BaseException:
            _give_up(work)
            thread.join(LEAVE_WITHIN)
            left_running.extend(set(threading.enumerate()) - before)
            logging.raiseExceptions = False  # they may log yet, to streams that are closed
            raise
    if raised:
        raise raised[0]


class _Watch:
    """Looks whether a run can go on."""

    def __init__(
        self,
        work: str,
        stalled_after: float | None,
        described: Callable[[Beat], str],
        say: Callable[[str], None],
    ) -> None:
        self.work, self.stalled_after = work, stalled_after
        self.described, self.say = described, say
        self.began, self.failed, self.told = time.time(), 0.0, 0.0

    def look(self, deaths: list[str]) -> None:
        """Raise WorkerLost where the run can't go on."""
        now = time.time()
        if deaths and not self.failed:
            self.failed = now - GRACE + 1  # a note may be on its way
        if not self.failed and failure_of(self.work) is not None:
            self.failed = now
        if self.failed and now - self.failed >= GRACE:
            raise WorkerLost(self._death(deaths))
        found = beats(self.work)
        busy = [one for one in found if not one.is_idle]
        oldest = min(busy, key=lambda one: one.at, default=None)
        since = oldest.at if oldest else max([one.at for one in found] or [self.began])
        patience = self.stalled_after
        if patience is not None and oldest is None:
            patience = max(patience, RUNNER_TAKES)
        if patience is not None and now - since > patience:
            raise WorkerLost(
                f"nothing moved for {now - since:,.0f} s: {self._at(oldest)}. If it is only slow, "
                "raise `run: {stalled_after: …}`; else leave out or mend what hangs; the same "
                "command then takes the run up"
            )
        if now - since > SAY_AFTER and now - self.told > SAY_AFTER:
            self.told = now
            self.say(f"nothing moved for {now - since:,.0f} s: {self._at(oldest)}")

    def _at(self, oldest: Beat | None) -> str:
        return self.described(oldest) if oldest else "workers wait for the runner"

    def _death(self, deaths: list[str]) -> str:
        if (failure := failure_of(self.work)) is not None:
            return f"a worker failed: {failure.said}; the same command takes the run up"
        at = "; ".join(self.described(one) for one in beats(self.work) if _is_lost(one))
        said = f"a worker process died ({deaths[0] if deaths else 'it failed'})"
        said += f" in {at}" if at else ""
        lines = _last_lines(f"{self.work}/workers.log")
        words = "".join(f"\n  {line}" for line in lines)
        return f"{said}; the same command takes the run up{words}"


def _is_lost(beat: Beat) -> bool:
    return not (beat.is_idle or is_alive(beat.process, beat.born))


def _last_lines(log: str) -> list[str]:
    """Return the last lines of a log that are no chatter of the runner."""
    try:
        lines = Path(log).read_text(errors="replace").splitlines()
    except OSError:
        return []
    chatter = ("DEBUG:", "INFO:", "WARNING:", "ERROR:apache_beam")
    return [line for line in lines if line and not line.startswith(chatter)][-_LAST_WORDS:]


def _give_up(work: str) -> None:
    """End what still works for a run: the workers at once, this process at its next beat."""
    halt()
    for one in beats(work):
        if one.process != os.getpid() and is_alive(one.process, one.born):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.process, signal.SIGKILL)


@contextmanager
def _worker_deaths() -> Iterator[list[str]]:
    """Give a list of how worker processes died: their runner only prints it, and waits on.

    What threads of the runner raise besides is a consequence, and not shown.
    """
    deaths: list[str] = []
    before = threading.excepthook

    def note(args: Any) -> None:
        said = str(args.exc_value)
        if "Worker subprocess exited" in said:
            deaths.append(_how(said.rpartition(" ")[2]))
        elif not (is_halted() or _is_of_runner(args.exc_traceback)):
            before(args)

    threading.excepthook = note
    try:
        yield deaths
    finally:
        if not left_running:
            threading.excepthook = before


def _is_of_runner(trace: TracebackType | None) -> bool:
    """Tell whether an exception passed through a runner."""
    names = {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(trace)}
    return any(name.partition(".")[0] in ("apache_beam", "grpc") for name in names)


def _how(code: str) -> str:
    """Say in words with what code a process ended."""
    if not code.lstrip("-").isdigit():
        return code
    number = int(code)
    killed = -number if number < 0 else number - 128
    if killed in set(signal.Signals):
        name = signal.Signals(killed).name
        return f"{name}: killed, perhaps for want of memory" if killed == signal.SIGKILL else name
    return f"exit code {number}"
