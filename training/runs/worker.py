"""A worker process: `python -m training.runs.worker OUT NUMBER` makes the runs on stdin.

One thread and one import of torch for many runs. One JSON line in, one JSON line out. Started by
torchrun, rank 0 reads and answers, and all ranks make each run together.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from training.design.plan import TrainingJob


def _main(out: Path, number: int) -> None:
    """Answer each line with the fields of a job on stdin with {} or {"error": …} on stdout.

    What libraries print goes to stderr, from the import of torch on: the pipe is for answers.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        from training.runs.bench import Bench

        setup = json.loads((out / "cache" / "setup.json").read_text("utf-8"))
        wants_torch = any(recipe["model"] != "ngram" for recipe in setup["recipes"].values())
        with _machinery(number) if wants_torch else _plain() as (device, share):
            bench = Bench(out, device)
            first = int(os.environ.get("RANK", 0)) == 0
            for line in _lines(first, share):
                error = _run(bench, json.loads(line), write=first)
                if first:
                    answers.write(json.dumps({"error": error} if error else {}) + "\n")
                    answers.flush()


def _run(bench: Any, job: dict[str, Any], *, write: bool) -> str | None:
    try:
        from training.runs.dispatch import make_run

        make_run(bench, TrainingJob(**job), write=write)
    except Exception:
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise  # or the other ranks would wait for this one
        return traceback.format_exc()
    return None


def _lines(first: bool, share: Any) -> Iterator[str]:
    """Yield each line of rank 0's stdin on every rank."""
    source: IO[str] | None = sys.stdin if first else None
    while True:
        line = share(source.readline() if source else "")
        if not line:
            return
        yield line


@contextmanager
def _machinery(number: int) -> Iterator[tuple[Any, Any]]:
    import torch

    from training.loop import distributed

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    with distributed.process_group(number) as device:
        yield device, distributed.broadcast


@contextmanager
def _plain() -> Iterator[tuple[Any, Any]]:
    yield "cpu", lambda line: line


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
