"""Make every arm × seed run of a plan: reuse what is there, train the rest in processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data import IntArray, Pool
from training.plan import Plan, remember_plan, write_json

Progress = Callable[[int, int, str], None]
Record = dict[str, Any]
ScoreArray = npt.NDArray[np.float64]


def write_cache(pool: Pool, plan: Plan, out: Path) -> None:
    """Write what the workers memory-map: features, rows and the run set-up."""
    cache = out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (out / "runs").mkdir(exist_ok=True)
    pool.features.save(cache)
    if "pixels" in pool.features.arrays:
        np.save(cache / "scale.npy", scale(pool.features.arrays["pixels"], pool.raw.x))
    for role, rows in (("raw", pool.raw), ("curated", pool.curated), ("test", pool.test)):
        rows.save(cache / f"{role}.npz")
    setup = {
        "plan_hash": plan.hash,
        "task": plan.task,
        "labels": len(pool.labels),
        "steps": plan.steps,
        "recipe": plan.recipe.model_dump(mode="json"),
    }
    write_json(cache / "setup.json", setup)


def scale(pixels: npt.NDArray[Any], rows: IntArray) -> npt.NDArray[np.float32]:
    """Return mean and deviation (1 or more) of each channel over `rows`, shape (2, C, 1, 1).

    From exact sums of each picture, so that no float copy of the pixels is made.
    """
    times = np.bincount(rows, minlength=len(pixels))
    sums = times @ np.einsum("nchw->nc", pixels, dtype=np.int64)
    squares = times @ np.einsum("nchw,nchw->nc", pixels, pixels, dtype=np.int64)
    count = len(rows) * pixels.shape[2] * pixels.shape[3]
    mean = sums / count
    deviation = np.maximum(np.sqrt(np.maximum(squares / count - mean**2, 0)), 1.0)
    return np.stack([mean, deviation]).astype(np.float32)[:, :, None, None]


def make_runs(
    plan: Plan, out: Path, *, tests: int, workers: int | None, progress: Progress | None
) -> list[Record]:
    """Return the record of each run, training those that `out` doesn't hold for this plan yet."""
    # Arms of one seed side by side, so that an interrupted proof has whole pairs.
    wanted = [(arm, seed) for seed in plan.seeds for arm in plan.arms]
    missing = [run for run in wanted if read_run(out, plan, *run, tests=tests) is None]
    done = len(wanted) - len(missing)
    if progress:
        progress(done, len(wanted), f"{done} of {len(wanted)} runs already there")
    count = min(workers or default_workers(), len(missing)) if missing else 0
    idle: SimpleQueue[Worker] = SimpleQueue()
    crew = [Worker(out, number) for number in range(count)]
    for worker in crew:
        idle.put(worker)

    def train(run: tuple[str, int]) -> tuple[str, int]:
        worker = idle.get()
        try:
            worker.train(*run)
        finally:
            idle.put(worker)
        return run

    pool = ThreadPoolExecutor(max(count, 1))
    try:
        for future in as_completed([pool.submit(train, run) for run in missing]):
            arm, seed = future.result()
            remember_plan(plan, out)
            done += 1
            if progress:
                progress(done, len(wanted), f"{arm}, seed {seed}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in crew:
            worker.stop()
    records = [read_run(out, plan, *run, tests=tests) for run in wanted]
    return [record for record in records if record is not None]


def read_run(out: Path, plan: Plan, arm: str, seed: int, *, tests: int) -> Record | None:
    """Return a run's record if it belongs to this plan and its scores are whole, else None."""
    path = out / "runs" / f"{arm}-{seed}.json"
    try:
        record: Record = json.loads(path.read_text("utf-8"))
        shapes = {np.load(file, mmap_mode="r").shape for file in _score_files(out, arm, seed)}
    except (FileNotFoundError, json.JSONDecodeError, ValueError):
        return None
    return record if record["plan_hash"] == plan.hash and shapes == {(tests,)} else None


def read_scores(out: Path, record: Record) -> tuple[ScoreArray, ScoreArray]:
    """Return (correctness, log loss) of a run for each test row."""
    correct, loss = _score_files(out, record["arm"], record["seed"])
    return np.load(correct).astype(np.float64), np.load(loss).astype(np.float64)


def _score_files(out: Path, arm: str, seed: int) -> tuple[Path, Path]:
    stem = out / "runs" / f"{arm}-{seed}"
    return stem.with_name(stem.name + ".correct.npy"), stem.with_name(stem.name + ".loss.npy")


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


class Worker:
    """One training process, fed a run at a time.

    A plain subprocess and not multiprocessing: nothing of the caller's main module is imported
    again, so `prove` works from a script without a main guard, a notebook or stdin.
    """

    def __init__(self, out: Path, number: int) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        one_thread = {"OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "training.worker", str(out.resolve()), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one_thread, "PYTHONPATH": path},
        )

    def train(self, arm: str, seed: int) -> None:
        """Train one run and wait for it.

        Raises:
            RuntimeError: the run failed, with the worker's traceback, or the process died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"arm": arm, "seed": seed}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"run {arm}, seed {seed}: the training process ended with status "
                f"{self.process.wait()} (its messages stand above); finished runs are kept, "
                "start again to go on"
            )
        error = json.loads(answer).get("error")
        if error:
            raise RuntimeError(f"run {arm}, seed {seed} failed:\n{error}")

    def stop(self) -> None:
        """End the process and close its pipes."""
        self.process.kill()
        self.process.communicate()
