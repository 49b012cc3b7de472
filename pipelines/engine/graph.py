"""The one graph: a recipe as a straight line of rounds, the same for every Beam runner.

    Create → post tasks → [GroupByKey → round] → … → [GroupByKey → round]

Every round is a plain function of an address and its mail (`pipelines.exchange.mail`). The graph
grows with the steps of the recipe and never with the files of the input: tasks lie in a plan file.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

import pyarrow as pa

from pipelines import files
from pipelines.engine.pulse import Beat, Failure, beat, begin, fail, failure_of
from pipelines.engine.remote import explained_by_runner, names_address
from pipelines.engine.runners import NEAR, engine_of, quiet_logs, workers_log
from pipelines.engine.segment_run import SegmentRun
from pipelines.engine.segments import Segment, segments_of
from pipelines.engine.spool import places_of, read_shard, shard_number, spool_round
from pipelines.engine.watch import prepare, wait_for
from pipelines.errors import UserError
from pipelines.exchange.earlier import earlier_home
from pipelines.exchange.mail import (
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
from pipelines.exchange.shards import load_state
from pipelines.ledger.books import Books
from pipelines.output.finish import finish_rounds, report_shard
from pipelines.output.stored_keys import keys_folder
from pipelines.output.writer import Finished, StoredBy
from pipelines.readers import Read
from pipelines.rows.chance import Chance
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import EDIT, VERDICT, VERDICT_SCHEMA, Site
from pipelines.steps.step import Step
from pipelines.store_errors import STORE_ERRORS, StoreFailed, explained
from pipelines.stores import Storage, use_storage

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
    store_keys: bool = False
    """Whether dedup steps store keys for later runs."""
    earlier: tuple[tuple[int, int], ...] = ()
    """Number of a step and of the files of keys of earlier runs it is held against."""
    format: str = "arrow"
    """Name of the format of the files of rows."""
    storage: Storage = field(default_factory=dict)
    """Options by which object stores are reached."""
    watched: bool = False
    """Whether the workers are on the machine of their driver, which watches them."""
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
        return max(self.tasks, self.shards) + sum(count for _, count in self.earlier)


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
    stored = tuple(
        StoredBy(segment.name, after.name, keys_folder(*segment.corpus))
        for segment, after in pairwise(segments)
        if job.store_keys and segment.corpus is not None and segment.corpus[1].stores
    )
    finished = Finished(job.work, job.shelf, segments[-1].name, stored)
    finish = finish_rounds(finished, job.shard_bytes, job.format)
    return rounds + [(name, part, None) for name, part in zip(names, finish, strict=True)]


def first_messages(tasks: int, earlier: Sequence[tuple[int, int]] = ()) -> Iterator[Message]:
    """Post every read task to the shard that will hold its rows, and every file of earlier keys."""
    for number in range(tasks):
        yield message(home(shard_number(number)), TASK)
    for step, count in earlier:
        for part in range(count):
            yield message(home(earlier_home(part)), _recalled(step))


def _recalled(step: int) -> str:
    """Return the kind of the messages that have a file of earlier keys posted for a step."""
    return f"earlier {step}"


def _segment_round(job: Job, segment: Segment, earlier: Sequence[str]) -> Round:
    def solve(address: str, mail: Mail) -> Iterator[Message]:
        number = home_number(address)
        if of_earlier_run(number):
            yield from _recall(job, segment, number)
            return
        books = Books(places_of(job.shelf, number, job.read))
        run = SegmentRun(
            job.shelf,
            number,
            segment,
            job.seed,
            books,
            keep_signed=bool(job.cache),
            store_keys=job.store_keys,
        )
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
            step, signed = segment.corpus[1], pa.concat_tables(run.signed)
            post = partial(step.send, signed, number, job.spread)
            yield from _posted(segment.corpus[0], post)
        yield message(address, HERE)

    takes = (TASK,) if segment.index == 0 else (HERE, VERDICT, EDIT)
    earlier_too = (_recalled(segment.corpus[0]),) if segment.corpus else ()
    return Round((*takes, *earlier_too), solve)


def _recall(job: Job, segment: Segment, number: int) -> Iterator[Message]:
    """Post one file of keys of earlier runs."""
    assert segment.corpus is not None
    step, corpus = segment.corpus
    chance = Chance(job.seed, step)
    for rows in Site(job.work, segment.name, chance).rows(number):
        signed = corpus.sign(rows, chance)
        yield from _posted(step, partial(corpus.send, signed, number, job.spread))


def _posted(step: int, post: Callable[[], Iterable[Message]]) -> Iterator[Message]:
    """Yield what a step posts before its first round, and what that cost."""
    start = perf_counter()
    messages = list(post())
    seconds = perf_counter() - start
    yield from messages
    yield from _spent(step, seconds, sum(len(payload) for _, payload in messages))


def _spent(step: int, seconds: float, shuffled: int) -> Iterator[Message]:
    """Tell the planner what a part of a step cost, where that is worth a message."""
    if seconds >= LEAST_SECONDS or shuffled >= LEAST_SHUFFLED:
        cost = {"step": [step], "seconds": [seconds], "shuffled": [shuffled]}
        yield message(PLAN, SPENT, pa.table(cost))


def build(pipeline: Any, job: Job) -> Any:
    """Add the graph of a job to a Beam pipeline; returns the last PCollection."""
    import apache_beam as beam

    for one in job.steps:
        one.check_files()
    element = tuple[str, bytes]
    start = pipeline | "start" >> beam.Create([job.tasks])
    post = beam.FlatMap(first_messages, job.earlier)
    mail = start | "post tasks" >> post.with_output_types(element)
    for name, part, step in rounds_of(job):
        grouped = mail | f"{name}: meet" >> beam.GroupByKey()
        watched = Watched(part, job.work, step, name, job.storage, job.watched)
        solve = beam.FlatMapTuple(watched).with_output_types(element)
        mail = grouped | f"{name}: solve" >> solve
    return mail


class WorkerFailed(UserError):
    """A worker met something that only the user can mend: the recipe or the input is wrong."""


def run(
    job: Job,
    runner: str,
    workers: int,
    options: Sequence[str] = (),
    *,
    stalled_after: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a job and wait for it.

    Args:
        job: what to run.
        runner: local, dask, or what Beam's `--runner` takes: FlinkRunner, SparkRunner,
            DataflowRunner or the full path of a runner class.
        workers: worker processes of local and dask; others have options of their own.
        options: Beam pipeline options, `--name=value` each.
        stalled_after: seconds without movement after which the run is given up; None: never.
        say: is told what does not move.

    Raises:
        WorkerFailed: a worker raised a UserError that says what the user can do.
        WorkerLost: a worker process died, or nothing moved for `stalled_after`.
    """
    files.remove_file(_failure(job.work))
    near = runner in NEAR and not files.is_remote(job.work) and not names_address(options)
    if stalled_after is not None and not near:
        raise UserError(
            f"run.stalled_after is for the runners {' and '.join(NEAR)}, with workers and output"
            f" on this machine; give {runner} a time-out among its own options"
        )
    apart = workers > 1 or stalled_after is not None
    chatty = runner == "dask" or (runner == "local" and apart)
    if near:
        prepare(job.work)
        job = replace(job, watched=True)
    with (
        workers_log(f"{job.work}/workers.log") if chatty else contextlib.nullcontext(),
        quiet_logs(),
        engine_of(runner, workers, options, apart=apart) as (engine, pipeline_options),
    ):
        import apache_beam as beam

        try:
            pipeline = beam.Pipeline(runner=engine, options=pipeline_options)
            build(pipeline, job)
            if near:
                said = partial(_described, job)
                go = partial(_run_through, pipeline)
                wait_for(go, job.work, stalled_after=stalled_after, described=said, say=say)
            else:
                _run_through(pipeline)
        except Exception as error:
            told = explained(error) or explained_by_runner(error)
            if told is not None:
                raise told from error
            noted = failure_of(job.work) if near else _noted(job.work)
            if noted is not None and noted.known:
                raise (WorkerFailed if noted.user else StoreFailed)(noted.said) from error
            raise


def _run_through(pipeline: Any) -> None:
    try:
        result = pipeline.run()
        result.wait_until_finish()
    finally:
        with contextlib.suppress(NameError, AttributeError):
            result.client.close()  # Dask's, before its cluster goes


def _described(job: Job, beat: Beat) -> str:
    """Say in words what a process is at: step, file and rows."""
    if beat.shard is None:
        return beat.op
    said = f"step {beat.step} ({beat.op})" if beat.step else "reading"
    places = places_of(job.shelf, beat.shard, job.read)
    if beat.first is None or beat.last is None:
        return f"{said}: {', '.join(list(places.names.values())[:3])}"
    first, last = (f"{places.file(key)}, {places.where(key)}" for key in (beat.first, beat.last))
    return f"{said}: {first}" if first == last else f"{said}: {first} to {last}"


@dataclass(frozen=True)
class Watched:
    """A round that tells how long it took and what the user must mend, on any runner."""

    part: Round
    work: str
    step: int | None
    """Number of the corpus step it belongs to, None for segments, which keep time themselves."""
    name: str = ""
    """Of the round."""
    storage: Storage = field(default_factory=dict)
    watched: bool = False

    def __call__(self, address: str, payloads: Iterable[bytes]) -> Iterator[Message]:
        """Solve; runners wrap exceptions, so a UserError is noted where `run` finds it."""
        start = perf_counter()
        use_storage(self.storage)
        begin(self.work, watched=self.watched)
        try:
            beat(self.step, self.name)
            messages = list(self.part(address, payloads))
            beat()
        except Exception as error:
            said = error if isinstance(error, UserError) else explained(error)
            user, known = isinstance(said, UserError), said is not None
            fail(str(said or error), user=user, known=known)
            if said is None:
                raise
            if not self.watched:
                _note(self.work, Failure(str(said), user, known))
            raise said from error
        seconds = perf_counter() - start
        yield from messages
        if self.step is not None:
            size = sum(len(payload) for _, payload in messages)
            yield from _spent(self.step, seconds, size)


def _failure(work: str) -> str:
    return f"{work}/failure.json"


def _note(work: str, failure: Failure) -> None:
    """Note why a worker can't go on, where no driver sees its process."""
    with contextlib.suppress(OSError, *STORE_ERRORS):  # else it is only raised
        files.write_bytes_atomically(_failure(work), json.dumps(asdict(failure)).encode())


def _noted(work: str) -> Failure | None:
    """Return what a worker noted of why it failed."""
    if not files.exists(_failure(work)):
        return None
    return Failure(**json.loads(files.read_bytes(_failure(work))))
