"""Beam runners by name, and what keeps them quiet."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines import files
from pipelines.engine import orphans
from pipelines.engine.remote import check_reachable, check_workers
from pipelines.errors import UserError, did_you_mean
from pipelines.store_errors import STORE_ERRORS, scrubbed


@contextlib.contextmanager
def workers_log(path: str) -> Iterator[None]:
    """Send what worker processes print to a file; our own messages keep the terminal.

    No file on a store can be written as one goes: there the log is left only by what fails.
    """
    if not files.is_remote(path):
        with _printed_to(path):
            yield
        return
    with tempfile.TemporaryDirectory(prefix="curate-log-") as folder:
        try:
            with _printed_to(f"{folder}/workers.log"):
                yield
        except BaseException:
            log = Path(folder, "workers.log").read_text("utf-8", "replace")
            with contextlib.suppress(OSError, *STORE_ERRORS):  # what failed is what is told
                files.write_bytes_atomically(path, scrubbed(log).encode())
            raise


@contextlib.contextmanager
def _printed_to(path: str) -> Iterator[None]:
    kept = os.dup(2)
    with Path(path).open("ab") as log, os.fdopen(kept, "w") as terminal:
        before = sys.stderr
        os.dup2(log.fileno(), 2)
        sys.stderr = terminal
        try:
            yield
        finally:
            sys.stderr = before
            terminal.flush()
            os.dup2(kept, 2)


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep the chatter of Beam and Dask off the terminal."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    chatty = ("apache_beam", "distributed")
    levels = {name: logging.getLogger(name).level for name in chatty}
    for name in chatty:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is raised reaches us anyway
    try:
        yield
    finally:
        root.setLevel(level)
        for name in chatty:
            logging.getLogger(name).setLevel(levels[name])


NEAR = ("local", "dask")
"""Runners whose workers are processes of this machine, unless an option names an address."""


@contextlib.contextmanager
def engine_of(
    runner: str, workers: int, options: Sequence[str], *, apart: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Yield a Beam runner and its options; `apart` puts a single local worker into a process."""
    from apache_beam.options.pipeline_options import PipelineOptions

    check_reachable(options)
    if runner == "local":
        # Beam's DirectRunner first tries to fetch a Go binary; this is what it falls back to.
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        own = [
            f"--direct_num_workers={workers}",
            "--direct_running_mode=multi_processing",
            "--default_sdk_harness_log_level=CRITICAL",
            f"--beam_plugin={orphans.__name__}",
        ]
        yield FnApiRunner(), PipelineOptions([*(own if apart or workers > 1 else []), *options])
    elif runner == "dask":
        with _dask_address(workers, options) as address:
            from apache_beam.runners.dask.dask_runner import DaskRunner

            yield DaskRunner(), PipelineOptions([*address, *options])
    else:
        yield _beam_runner(runner), PipelineOptions(list(options))


def _beam_runner(name: str) -> Any:
    """Return one of Beam's runners, or one of a class that is named in full."""
    from apache_beam.runners.runner import create_runner

    known = {"flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner"}
    try:
        return create_runner(known.get(name, name))
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(
            f"runner {name!r}: {str(error).partition('.')[0]}; allowed: local, dask, "
            f"{', '.join(known)}, or the full name of a Beam runner class"
            f"{did_you_mean(name, ['local', 'dask', *known])}"
        ) from None


@contextlib.contextmanager
def _dask_address(workers: int, options: Iterable[str]) -> Iterator[list[str]]:
    """Yield the option naming a Dask cluster: the one asked for, or one of local processes."""
    given = [option for option in options if option.startswith("--dask_client_address=")]
    if given:
        check_workers(given[-1].partition("=")[2])
        yield []
        return
    from distributed import LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # its import sets its own
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.ERROR,
    ) as cluster:
        yield [f"--dask_client_address={cluster.scheduler_address}"]
