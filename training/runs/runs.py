"""Make every run of a plan: reuse what is there, make the rest in processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np

from training.arrays import FloatArray
from training.design.plan import ProofPlan, TrainingJob, remember_plan
from training.runs.progress import Told, Watch

Record = dict[str, Any]


class Maker(Protocol):
    """Makes runs, one at a time."""

    def train(self, job: TrainingJob) -> None:
        """Make one run and write it; raise RuntimeError if it can't be made."""

    def stop(self) -> None:
        """Let go of what is held."""


def make_runs(
    plan: ProofPlan,
    out: Path,
    *,
    tests: dict[str, int],
    crew: Callable[[int], Sequence[Maker]],
    keep: Sequence[str] = (),
    told: Told | None,
) -> list[Record]:
    """Return the record of each run, making those that `out` doesn't hold for this plan yet.

    Args:
        plan: what to make.
        out: folder of the proof.
        tests: rows of each test set.
        crew: given the number of missing runs, starts those who make them.
        keep: arms whose main runs must have kept their weights.
        told: called after each run.
    """
    jobs = plan.jobs()
    there = {job: record for job in jobs if (record := read_run(out, plan, job, tests=tests))}
    for job in jobs:
        if job.main and job.arm in keep and not weights_file(out, plan.hash, job).is_file():
            there.pop(job, None)
    missing = [job for job in jobs if job not in there]
    makers = crew(len(missing)) if missing else []
    idle: SimpleQueue[Maker] = SimpleQueue()
    for maker in makers:
        idle.put(maker)
    watch = Watch(len(jobs), len(makers), plan.metric, told)
    watch.found(there.values())

    def make(job: TrainingJob) -> TrainingJob:
        maker = idle.get()
        try:
            maker.train(job)
        finally:
            idle.put(maker)
        return job

    pool = ThreadPoolExecutor(max(len(makers), 1))
    try:
        for future in as_completed([pool.submit(make, job) for job in missing]):
            job = future.result()
            if plan.profile != "smoke":  # which tries the plumbing and shows nobody a result
                remember_plan(plan, out)
            record = read_run(out, plan, job, tests=tests)
            assert record is not None
            there[job] = record
            watch.finished(record, job.in_words())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for maker in makers:
            maker.stop()
    return [there[job] for job in jobs]


def read_run(
    out: Path, plan: ProofPlan, job: TrainingJob, *, tests: dict[str, int]
) -> Record | None:
    """Return a run's record if it belongs to this plan and its scores are whole, else None."""
    folder = out / "runs"
    try:
        record: Record = json.loads((folder / f"{job.name}.json").read_text("utf-8"))
        with np.load(folder / f"{job.name}.npz") as found:
            whole = all(name in found and len(found[name]) == n for name, n in tests.items())
    except (FileNotFoundError, ValueError, BadZipFile, EOFError):
        return None
    return record if record.get("plan_hash") == plan.hash and whole else None


def read_scores(out: Path, job: TrainingJob, test: str = "test") -> FloatArray:
    """Return a run's score for each row of a test set."""
    with np.load(out / "runs" / f"{job.name}.npz") as found:
        scores: FloatArray = found[test].astype(np.float64)
    return scores


def weights_file(out: Path, plan_hash: str, job: TrainingJob) -> Path:
    """Return where a run keeps its trained weights, if it does; those of another plan lie apart."""
    return out / "runs" / f"{job.name}.{plan_hash[:12]}.pt"


def read_weights(out: Path, job: TrainingJob, test: str = "test") -> FloatArray | None:
    """Return how much each row of a test set counts; None if all count alike."""
    with np.load(out / "runs" / f"{job.name}.npz") as found:
        name = f"{test}.weight"
        return np.maximum(found[name], 1).astype(np.float64) if name in found else None


def default_workers() -> int:
    """Return the number of GPUs, or without one the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _gpus() or cores or 1


def _gpus() -> int:
    """Count the GPUs that torch can use; it is asked in a process of its own, only where one is."""
    if not (shutil.which("nvidia-smi") or Path("/dev/kfd").exists()):
        return 0
    code = "import torch; print(torch.cuda.device_count())"
    asked = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, check=True)
    return int(asked.stdout.split()[-1])


def worker_environment() -> dict[str, str]:
    """Return the environment of a training process: this package on its path, one thread."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    one_thread = {"OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    return {**os.environ, **one_thread, "PYTHONPATH": path}


class Worker:
    """One training process, or `processes` of them that share each run, fed a run at a time.

    A plain subprocess and not multiprocessing: nothing of the caller's main module is imported
    again, so `prove` works from a script without a main guard, a notebook or stdin.
    """

    def __init__(self, out: Path, number: int, processes: int = 1) -> None:
        start = ["-m"]
        if processes > 1:
            count = ["--nproc-per-node", str(processes)]
            start = ["-m", "torch.distributed.run", "--standalone", *count, "-m"]
        self.process = subprocess.Popen(
            [sys.executable, "-P", *start, "training.runs.worker", str(out.resolve()), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=worker_environment(),
            start_new_session=True,  # Ctrl-C is for the proof, which ends its workers itself
        )

    def train(self, job: TrainingJob) -> None:
        """Make one run and wait for it.

        Raises:
            RuntimeError: the run failed, with the worker's traceback, or the process died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(asdict(job)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"run {job.in_words()}: the training process ended with status "
                f"{self.process.wait()} (its messages stand above); finished runs are kept, "
                "start again to go on"
            )
        error = json.loads(answer).get("error")
        if error:
            raise RuntimeError(f"run {job.in_words()} failed:\n{error}")

    def stop(self) -> None:
        """End the process and close its pipes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # torchrun's children, too
        self.process.communicate()
