"""Exit codes: what of an exception the user sees."""

import traceback
from typing import Any

import click

from curate.errors import RunFailed
from curate.visible import printable
from pipelines.errors import UserError
from training.errors import UserError as ProofUserError

FILE_ERRORS = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
INTERRUPTED = 130


class Commands(click.Group):
    """Turns exceptions into exit codes: 2 for the user's, 1 for a failed run, 130 for Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; only what nobody expects keeps its traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command takes it up again", err=True)
            raise SystemExit(INTERRUPTED) from None
        except (RunFailed, UserError, ProofUserError, *FILE_ERRORS) as error:
            if ctx.params.get("traceback"):
                traceback.print_exc()
            click.echo(printable(_said(error)), err=True)
            raise SystemExit(1 if isinstance(error, RunFailed) else 2) from None


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
