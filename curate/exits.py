"""Exit codes: what of an exception the user sees."""

import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from curate.errors import RunFailed
from curate.visible import printable
from pipelines.engine.remote import Unreachable
from pipelines.engine.watch import WorkerLost, left_running
from pipelines.errors import UserError
from pipelines.store_errors import StoreFailed, explained, scrubbed
from training.errors import UserError as ProofUserError

FILE_ERRORS = (
    FileExistsError | FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError
)
FAILED = RunFailed | StoreFailed | WorkerLost | Unreachable
EXPECTED = FAILED | UserError | ProofUserError
NAME_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ)
"""What else a path can be blamed for."""
_BYTE = re.compile("[\udc80-\udcff]")
STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""Signals that end a command with 128 and their number, and how that is said."""


class Commands(click.Group):
    """Turns exceptions into exit codes: 2 for the user's, 1 for a failed run, 130 for Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; only what nobody expects keeps its traceback."""
        with _stoppable() as stopped:
            try:
                return super().invoke(ctx)
            except BaseException as error:
                # Runners wrap what a signal raises in them, so the signal itself is asked for.
                if stopped or isinstance(error, KeyboardInterrupt):
                    number = stopped[0] if stopped else signal.SIGINT
                    click.echo(f"{STOPPED[number]}; the same command takes it up again", err=True)
                    _leave(128 + number)
                if not isinstance(error, EXPECTED):
                    error = explained(error) or error
                if not _is_expected(error):
                    raise
                if ctx.params.get("traceback"):
                    click.echo(scrubbed(traceback.format_exc()), err=True)
                click.echo(printable(scrubbed(_said(error))), err=True)
                _leave(1 if isinstance(error, FAILED) else 2)


@contextmanager
def _stoppable() -> Iterator[list[signal.Signals]]:
    """Give the signals that asked to stop; each raises KeyboardInterrupt in the main thread."""
    stopped: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(signal.Signals(number))
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, stop) for number in STOPPED}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(code: int) -> NoReturn:
    """Exit, even where a thread hangs that nothing can end."""
    if any(thread.is_alive() for thread in left_running):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code) from None


def _is_expected(error: BaseException) -> bool:
    if isinstance(error, EXPECTED | FILE_ERRORS):
        return True
    if isinstance(error, UnicodeEncodeError):  # what Python makes of bytes in names
        return _BYTE.search(str(error.object)) is not None
    return isinstance(error, OSError) and error.errno in NAME_ERRORS


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError):
        return f"the name of a file or folder is not UTF-8: {error.object}; rename it"
    return str(error)
