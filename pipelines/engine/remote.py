"""Runners elsewhere: whether somebody answers there, and what their errors mean to a person."""

import re
import socket
from collections.abc import Iterable, Iterator

from pipelines.errors import UserError

ADDRESSES = (
    "job_endpoint",
    "artifact_endpoint",
    "flink_master",
    "spark_master_url",
    "dask_client_address",
)
"""Options that say where a runner listens."""
ANSWERS_WITHIN = 10.0
"""Seconds in which somebody must answer there."""
WORKERS_WITHIN = 30.0
"""Seconds in which a Dask scheduler must have a worker."""


class Unreachable(RuntimeError):
    """Nobody answers where a runner should be, or it has no workers."""


def check_reachable(options: Iterable[str]) -> None:
    """Connect to the addresses that options name: runners themselves wait without end.

    Raises:
        Unreachable: nobody answers.
    """
    for name, host, port in _addresses(options):
        try:
            socket.create_connection((host, port), timeout=ANSWERS_WITHIN).close()
        except OSError as error:
            why = error.strerror or f"no answer within {ANSWERS_WITHIN:.0f} s"
            raise Unreachable(
                f"--{name}={host}:{port}: {why}; start the service there, or give the address of "
                "one that runs"
            ) from None


def check_workers(address: str) -> None:
    """Wait until a Dask scheduler has a worker.

    Raises:
        Unreachable: it has none.
    """
    from distributed import Client

    try:
        with Client(address, timeout=ANSWERS_WITHIN) as client:
            client.wait_for_workers(1, timeout=WORKERS_WITHIN)
    except TimeoutError:
        raise Unreachable(
            f"the Dask scheduler at {address} has had no worker for {WORKERS_WITHIN:.0f} s; start "
            f"one: dask worker {address}"
        ) from None
    except OSError as error:
        raise Unreachable(f"the Dask scheduler at {address} cannot be reached: {error}") from None


def explained_by_runner(error: BaseException) -> UserError | None:
    """Return what an error of a runner's own means, None if it is no such error."""
    said = str(error)
    if jar := re.search(r"stage the jar at (\S+)", said):
        return UserError(
            f"the runner needs its job server, which could not be fetched: put it at {jar[1]}, or "
            "give its address, --job_endpoint=HOST:PORT, with --runner PortableRunner"
        )
    if "validations errors" in said:
        wrong = "; ".join(line.strip(" .") for line in said.splitlines()[1:] if line.strip())
        return UserError(f"the runner's options: {wrong}; give them after `--`")
    if "must specify a --job_endpoint" in said:
        return UserError(
            "PortableRunner needs the address of a job service: give -- --job_endpoint=HOST:PORT"
        )
    return None


def names_address(options: Iterable[str]) -> bool:
    """Tell whether options say where a runner listens: its workers may be on other machines."""
    return any(option.lstrip("-").partition("=")[0] in ADDRESSES for option in options)


def _addresses(options: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """Yield option, host and port of each address that options name."""
    for option in options:
        name, _, value = option.lstrip("-").partition("=")
        found = re.fullmatch(r"(?:\w+://)?\[?([\w.:-]+?)\]?:(\d+)/?", value)
        if name in ADDRESSES and found:
            yield name, found[1], int(found[2])
