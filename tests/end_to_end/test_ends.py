"""How a run ends that can't go on: within seconds, with one sentence and the right exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

STEP = '''
"""A step that misbehaves at the row whose text says so."""

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from pipelines.rows.verdicts import within
from pipelines.steps.step import Filter


class Misbehave(Filter):
    """Do what a text says."""

    op: Literal["misbehave"] = "misbehave"

    def judge(self, rows, chance):
        for text in rows.text.to_pylist():
            if text == "sleep":
                time.sleep(600)
            elif text == "backtrack":  # holds the interpreter: no thread of the process runs
                re.match(r"(a+)+$", "a" * 60 + "b")
            elif text == "die":
                print("segmentation fault, say", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            elif text == "raise":
                raise MemoryError("no room for this row")
            elif text == "note":
                Path(os.environ["NOTE"]).touch()
                time.sleep(600)
        return within(np.arange(len(rows)), None, None)
'''


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `curate run` on texts, one of which makes a step misbehave."""
    package = tmp_path / "package"
    about = package / "misbehave-1.dist-info"
    about.mkdir(parents=True)
    (package / "misbehave.py").write_text(STEP)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehave\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[curate.steps]\nmisbehave = misbehave:Misbehave\n")

    def start(text: str, *options: str, **section: object) -> subprocess.Popen[str]:
        texts = [f"text {i}" for i in range(20)]
        texts[12] = text
        lines = "".join(json.dumps({"text": one}) + "\n" for one in texts)
        (tmp_path / "in.jsonl").write_text(lines)
        recipe = {
            "name": "ends",
            "read": {"format": "jsonl", "path": str(tmp_path / "in.jsonl")},
            "steps": [{"op": "misbehave"}],
            "write": {"path": str(tmp_path / "out")},
            "run": section,
        }
        (tmp_path / "r.yaml").write_text(json.dumps(recipe))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
        return subprocess.Popen(
            [sys.executable, "-m", "curate", "run", str(tmp_path / "r.yaml"), *options],
            env={**env, "NOTE": str(tmp_path / "noted")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and error output of a run, which must end soon and leave no process."""
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return process.returncode, said
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("the run left processes behind")


@pytest.mark.parametrize("text", ["sleep", "backtrack"])
def test_a_row_that_hangs_a_step_is_named_after_a_while(run, tmp_path, text):
    code, said = ended(run(text, stalled_after="2s"))
    assert code == 1
    assert "Traceback" not in said
    assert re.search(r"nothing moved for \d+ s: step 1 \(misbehave\): in\.jsonl, byte 0 to ", said)
    assert "stalled_after" in said
    assert not (tmp_path / "out").exists()


def test_a_dead_worker_ends_the_run_with_its_last_words(run):
    code, said = ended(run("die", "--workers", "2"))
    assert code == 1
    assert "Traceback" not in said
    assert "a worker process died (SIGKILL: killed, perhaps for want of memory) in step 1" in said
    assert "segmentation fault, say" in said


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_a_run_that_hangs(run, tmp_path, workers, number, code, word):
    process = run("note", "--workers", workers)
    deadline = time.monotonic() + 60
    while not (tmp_path / "noted").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    found, said = ended(process)
    assert (found, said.splitlines()[-1:]) == (
        code,
        [f"{word}; the same command takes it up again"],
    )
    assert "Traceback" not in said
