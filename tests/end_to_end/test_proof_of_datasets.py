"""Any two datasets are compared: other formats, no test data, and a proof that is cut off."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import Dataset

WORDS = {"cat": "meow purr claw whisker", "dog": "bark fetch tail bone"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw as a saved dataset, and less of it as CSV."""
    folder = tmp_path_factory.mktemp("datasets")
    rows = []
    for i in range(400):
        label = ("cat", "dog")[i % 2]
        word = WORDS[label].split()[i // 2 % 4]
        text = f"{word} says the animal number {i}" if i % 4 else f"nothing {i}"
        rows.append({"text": text, "label": label})
    Dataset.from_list(rows).save_to_disk(folder / "raw")
    with (folder / "clean.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows[i] for i in range(400) if i % 4)
    return folder


def command(place: Path, *more: str) -> list[str]:
    short = ["--seeds", "3", "--steps", "100", "--sizes", "0", "--rates", ",", "--workers", "1"]
    start = [sys.executable, "-m", "curate", "prove", "--raw", "raw", "--curated", "clean.csv"]
    return [*start, *short, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1"}


def test_interrupted_proof_goes_on_and_judges_any_two_datasets(place: Path) -> None:
    out = place / "clean.csv-against-raw.proof"
    running = subprocess.Popen(
        command(place),
        cwd=place,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("runs/*.json"))) < 2:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does: the training processes get it, too
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted; the same command takes it up again"
    assert "Traceback" not in said
    assert not (out / "result.json").exists()

    made = {path: path.stat().st_mtime_ns for path in out.glob("runs/*.json")}
    done = subprocess.run(
        command(place), cwd=place, env=environment(), capture_output=True, text=True
    )
    assert done.returncode in (0, 3), done.stderr
    already = re.search(r"(\d+) of (\d+) runs already there", done.stderr)
    assert already
    assert int(already[1]) >= len(made)
    assert {path: path.stat().st_mtime_ns for path in made} == made

    assert "task text_classification, told by the columns" in done.stderr
    assert "held out of raw, so curation has seen them" in done.stderr
    assert "expected to find a gap of" in done.stderr
    result = json.loads((out / "result.json").read_bytes())
    assert result["exploratory"]
    assert done.stdout.splitlines()[-1] == result["sentence"]
    assert done.returncode == (0 if result["supported"] else 3)
    held = result["test_rows"]
    assert 50 < held < 110
    arms = {arm["name"]: arm["n"] for arm in result["arms"]}
    assert arms["curated"] < 300
    assert arms["raw"] <= 400 - held


def test_missing_data_is_an_error_of_the_user(place: Path) -> None:
    line = [*command(place)[:5], "gone", "--curated", "clean.csv"]
    done = subprocess.run(line, cwd=place, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("raw: no file gone")
