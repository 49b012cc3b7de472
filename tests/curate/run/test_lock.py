import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from curate.run.lock import Owner, born, owned
from pipelines import files
from pipelines.errors import UserError

HOLD = """
import sys
from curate.run.lock import owned
with owned(sys.argv[1]):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that owns `out`."""
    started = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout.readline() == "mine\n"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def test_second_run_is_refused_and_names_the_first(holder, tmp_path):
    with pytest.raises(UserError) as caught, owned(str(tmp_path / "out")):
        pass
    said = str(caught.value)
    assert f"process {holder.pid} on {socket.gethostname()}, since 20" in said
    assert "write to another folder with --out" in said


def test_lock_ends_with_its_owner_however_that_ends(holder, tmp_path):
    holder.kill()
    holder.wait()
    with owned(str(tmp_path / "out")):
        assert (tmp_path / ".out.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_lock_is_gone_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), owned(str(tmp_path / "deep/out")):
        raise ZeroDivisionError
    with owned(str(tmp_path / "deep/out")), owned(str(tmp_path / "deep/other")):
        pass
    assert list((tmp_path / "deep").iterdir()) == []


def stored(owner):
    files.write_bytes_atomically("memory://bucket/.out.lock", json.dumps(asdict(owner)).encode())


@pytest.fixture
def _settled(monkeypatch):
    monkeypatch.setattr("curate.run.lock.SETTLE", 0.0)
    yield
    files.remove_tree("memory://bucket")


@pytest.mark.usefixtures("_settled")
def test_on_a_store_a_dead_owner_is_recognised_and_a_strange_one_is_not_judged():
    here = socket.gethostname()
    dead = Owner(here, os.getpid(), "12345", "2026-01-01T00:00:00Z")
    stored(dead)
    with owned("memory://bucket/out"):
        assert files.exists("memory://bucket/.out.lock")
    assert not files.exists("memory://bucket/.out.lock")
    for owner in (
        Owner("elsewhere", 7, "1", "x"),
        Owner(here, os.getpid(), born(os.getpid()), "x"),
    ):
        stored(owner)
        with pytest.raises(UserError, match=r"is dead, remove memory://bucket/\.out\.lock"):
            owned("memory://bucket/out").__enter__()
        files.remove_file("memory://bucket/.out.lock")


@pytest.mark.usefixtures("_settled")
def test_on_a_store_the_last_of_two_that_begin_together_owns(monkeypatch):
    other = Owner("elsewhere", 7, "1", "x")
    monkeypatch.setattr("curate.run.lock.time.sleep", lambda _: stored(other))
    with pytest.raises(UserError, match="process 7 on elsewhere"):
        owned("memory://bucket/out").__enter__()


def test_two_commands_at_once_leave_one_whole_output(tmp_path):
    lines = [json.dumps({"text": f"row {i}"}) for i in range(2000)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "r.yaml").write_text(
        "name: r\nread: {format: jsonl, path: in.jsonl}\nsteps: [{op: exact_dedup}]\n"
        "write: {path: out}\n"
    )
    command = [sys.executable, "-m", "curate", "run", "r.yaml"]
    started = []
    for _ in range(3):
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
        )
        time.sleep(0.05)
    said = [(one.communicate()[1].decode(), one.returncode) for one in started]
    assert sorted(code for _, code in said) == [0, 2, 2]
    assert all("is being written by" in s or "already there" in s for s, code in said if code)
    manifest = json.loads((tmp_path / "out/_curate/manifest.json").read_text())
    assert [Path(tmp_path / "out" / one["file"]).exists() for one in manifest["shards"]] == [True]
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "r.yaml", "out"}
