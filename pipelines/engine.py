"""The one graph: a recipe as a straight line of rounds, the same for every Beam runner.

    Create → post tasks → [GroupByKey → round] → … → [GroupByKey → round]

Every round is a plain function of an address and its mail (`pipelines.mail`). The graph grows with
the steps of the recipe and never with the files of the input: tasks lie in a plan file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from pipelines import files
from pipelines.books import Books
from pipelines.faults import raised_by_us
from pipelines.finish import finish_rounds, report_shard
from pipelines.mail import (
    HERE,
    PLAN,
    SPENT,
    TASK,
    Mail,
    Message,
    Round,
    home,
    home_number,
    message,
)
from pipelines.readers import Read
from pipelines.segment import Segment, segments_of
from pipelines.segment_run import SegmentRun
from pipelines.shard import load_state
from pipelines.spool import places_of, read_shard, shard_number, spool_round
from pipelines.steps.corpus import EDIT, VERDICT, VERDICT_SCHEMA, Corpus, Site
from pipelines.steps.step import Chance, Step
from pipelines.writer import Finished

LEAST_SECONDS, LEAST_SHUFFLED = 0.001, 1 << 16
"""Seconds and bytes below which a round does not report its cost: a message would cost as much."""


@dataclass(frozen=True)
class Job:
    """All a worker needs to know; small, since it travels in the graph."""

    read: Read
    steps: tuple[Step, ...]
    seed: int
    work: str
    """Folder that every worker can read and write: the plan, the shards, then the output."""
    tasks: int
    spools: bool
    """Whether some task is one file that cannot be split and is cut up first."""
    required: tuple[str, ...]
    """Roles a record must have to be read: any of text, image, label."""
    shard_bytes: int
    shards: int = 0
    """About how many working shards there will be, where that is more than tasks."""
    cache: str = ""
    """Folder of the plan and the shards where other runs may use them; empty: they are in `work`.
    Then signatures are kept too."""

    @property
    def shelf(self) -> str:
        """Return the folder of the plan and the working shards."""
        return self.cache or self.work

    @property
    def spread(self) -> int:
        """Return about how many shards there are, for a fit number of partitions."""
        return max(self.tasks, self.shards)


def rounds_of(job: Job) -> list[tuple[str, Round, int | None]]:
    """Return all rounds with their names and the number of the corpus step they belong to."""
    rounds: list[tuple[str, Round, int | None]] = []
    segments = segments_of(job.steps, job.seed)
    if job.spools:
        rounds.append(("spool", spool_round(job.shelf, job.read, job.required), None))
    for segment in segments:
        name = f"segment {segment.index}"
        earlier = [s.name for s in segments[: segment.index]]
        rounds.append((name, _segment_round(job, segment, earlier), None))
        if segment.corpus is not None:
            number, step = segment.corpus
            chance = Chance(job.seed, number)
            site = Site(job.work, segment.name, chance, job.spread, job.shelf)
            for i, part in enumerate(step.rounds(site), start=1):
                rounds.append((f"step {number} {step.op} {i}", part, number))
    names = ("plan", "write", "end")
    finished = Finished(job.work, job.shelf, segments[-1].name)
    finish = finish_rounds(finished, job.shard_bytes)
    return rounds + [(name, part, None) for name, part in zip(names, finish, strict=True)]


def first_messages(tasks: int) -> Iterator[Message]:
    """Post every read task to the shard that will hold its rows."""
    for number in range(tasks):
        yield message(home(shard_number(number)), TASK)


def _segment_round(job: Job, segment: Segment, earlier: Sequence[str]) -> Round:
    def solve(address: str, mail: Mail) -> Iterator[Message]:
        number = home_number(address)
        books = Books(places_of(job.shelf, number, job.read))
        run = SegmentRun(job.shelf, number, segment, job.seed, books, keep_signed=bool(job.cache))
        state = load_state(job.shelf, number, segment.name)
        if state is not None:  # done by an earlier attempt or run: only sign again
            run.sign_again(state)
        elif segment.index == 0:
            chunks = read_shard(job.shelf, number, job.read, job.required, job.spools)
            state = run.start(chunks, job.read.present)
        else:
            state = run.resume(mail.get(VERDICT, VERDICT_SCHEMA.empty_table()), mail.get(EDIT))
        if segment.corpus is None:
            yield report_shard(job.shelf, number, earlier, state)
            return
        if run.signed:
            yield from _sent(segment.corpus, pa.concat_tables(run.signed), number, job.spread)
        yield message(address, HERE)

    return Round((TASK,) if segment.index == 0 else (HERE, VERDICT, EDIT), solve)


def _sent(
    corpus: tuple[int, Corpus], signed: pa.Table, number: int, spread: int
) -> Iterator[Message]:
    """Yield what a step posts of the signatures of one shard, and what that cost."""
    start = perf_counter()
    messages = list(corpus[1].send(signed, number, spread))
    seconds = perf_counter() - start
    yield from messages
    yield from _spent(corpus[0], seconds, sum(len(payload) for _, payload in messages))


def _spent(step: int, seconds: float, shuffled: int) -> Iterator[Message]:
    """Tell the planner what a part of a step cost, where that is worth a message."""
    if seconds >= LEAST_SECONDS or shuffled >= LEAST_SHUFFLED:
        cost = {"step": [step], "seconds": [seconds], "shuffled": [shuffled]}
        yield message(PLAN, SPENT, pa.table(cost))


def build(pipeline: Any, job: Job) -> Any:
    """Add the graph of a job to a Beam pipeline; returns the last PCollection."""
    import apache_beam as beam

    element = tuple[str, bytes]
    start = pipeline | "start" >> beam.Create([job.tasks])
    mail = start | "post tasks" >> beam.FlatMap(first_messages).with_output_types(element)
    for name, part, step in rounds_of(job):
        grouped = mail | f"{name}: meet" >> beam.GroupByKey()
        solve = beam.FlatMapTuple(Watched(part, job.work, step)).with_output_types(element)
        mail = grouped | f"{name}: solve" >> solve
    return mail


class WorkerFailed(ValueError):
    """A worker met something that only the user can mend: the recipe or the input is wrong."""


def run(job: Job, runner: str, workers: int, options: Sequence[str] = ()) -> None:
    """Run a job and wait for it.

    Args:
        job: what to run.
        runner: local, dask, or what Beam's `--runner` takes: FlinkRunner, SparkRunner,
            DataflowRunner or the full path of a runner class.
        workers: worker processes of local and dask; others have options of their own.
        options: Beam pipeline options, `--name=value` each.

    Raises:
        WorkerFailed: a worker raised a ValueError that says what the user can do.
    """
    files.remove_file(_failure(job.work))
    chatty = not files.is_remote(job.work) and (
        runner == "dask" or (runner == "local" and workers > 1)
    )
    with (
        _workers_log(f"{job.work}/workers.log") if chatty else contextlib.nullcontext(),
        _quiet_logs(),
        _engine(runner, workers, options) as (engine, pipeline_options),
    ):
        import apache_beam as beam

        pipeline = beam.Pipeline(runner=engine, options=pipeline_options)
        build(pipeline, job)
        try:
            result = pipeline.run()
            result.wait_until_finish()
        except Exception as error:
            if files.exists(_failure(job.work)):
                raise WorkerFailed(files.read_bytes(_failure(job.work)).decode()) from error
            raise
        finally:
            with contextlib.suppress(NameError, AttributeError):
                result.client.close()  # Dask's, before its cluster goes


@dataclass(frozen=True)
class Watched:
    """A round that tells how long it took and what the user must mend, on any runner."""

    part: Round
    work: str
    step: int | None
    """Number of the corpus step it belongs to, None for segments, which keep time themselves."""

    def __call__(self, address: str, payloads: Iterable[bytes]) -> Iterator[Message]:
        """Solve; runners wrap exceptions, so a ValueError is noted where `run` finds it."""
        start = perf_counter()
        try:
            messages = list(self.part(address, payloads))
        except ValueError as error:
            if raised_by_us(error):
                files.write_bytes_atomically(_failure(self.work), str(error).encode())
            raise
        seconds = perf_counter() - start
        yield from messages
        if self.step is not None:
            size = sum(len(payload) for _, payload in messages)
            yield from _spent(self.step, seconds, size)


def _failure(work: str) -> str:
    return f"{work}/failure.txt"


@contextlib.contextmanager
def _workers_log(path: str) -> Iterator[None]:
    """Send what worker processes print to a file; our own messages keep the terminal."""
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
def _quiet_logs() -> Iterator[None]:
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


@contextlib.contextmanager
def _engine(runner: str, workers: int, options: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Yield a Beam runner and its options."""
    from apache_beam.options.pipeline_options import PipelineOptions

    if runner == "local":
        # Beam's DirectRunner first tries to fetch a Go binary; this is what it falls back to.
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        own = [
            f"--direct_num_workers={workers}",
            "--direct_running_mode=multi_processing",
            "--default_sdk_harness_log_level=CRITICAL",
        ]
        yield FnApiRunner(), PipelineOptions([*(own if workers > 1 else []), *options])
    elif runner == "dask":
        with _dask_address(workers, options) as address:
            from apache_beam.runners.dask.dask_runner import DaskRunner

            yield DaskRunner(), PipelineOptions([*address, *options])
    else:
        names = {"flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner"}
        yield names.get(runner, runner), PipelineOptions(list(options))


@contextlib.contextmanager
def _dask_address(workers: int, options: Iterable[str]) -> Iterator[list[str]]:
    """Yield the option naming a Dask cluster: the one asked for, or one of local processes."""
    if any(option.startswith("--dask_client_address") for option in options):
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
