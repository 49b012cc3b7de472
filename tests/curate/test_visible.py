import json
import subprocess
import sys

import pytest
from made_run import make_manifest
from rich.console import Console

from curate.run.run_text import print_run

ESCAPE = "\x1b]0;owned\x07\x1b[31m\r\u202e[x]"


@pytest.fixture
def place(tmp_path):
    """A recipe over rows whose ids steer a terminal, and one duplicate."""
    rows = [
        {"id": f"{ESCAPE}{i}", "text": f"row {i // 2}", "label": f"[/red]{ESCAPE}{i % 2}"}
        for i in range(4)
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / f"{ESCAPE}.jsonl").write_text("\n".join([*lines, "{"]) + "\n")
    (tmp_path / "r.yaml").write_text(
        "name: r\nmax_quarantined: 1\nread: {format: jsonl, path: '*.jsonl', label: label}\n"
        "steps: [{op: exact_dedup}]\nwrite: {path: out}\n"
    )
    return tmp_path


def test_nothing_of_the_data_steers_the_terminal(place):
    commands = [
        ["run", "r.yaml"],
        ["run", "r.yaml", "--out", "strict", "--set", "max_quarantined=0"],
        ["explain", "out", f"{ESCAPE}0"],
        ["explain", "out", f"{ESCAPE}9"],
        ["clusters", "out"],
        ["validate", "r.yaml", "--set", f"name={ESCAPE}", "--set", f"{ESCAPE}=1"],
        ["plan", "r.yaml", "--sweep", "exact_dedup.keep=longest,earliest"],
        ["run", f"{ESCAPE}.yaml"],
        ["run", "r.yaml", "--out", f"{ESCAPE}out"],
        ["clusters", "out", "--to", f"{ESCAPE}.csv"],
        ["prove", "--raw", ESCAPE, "--curated", ESCAPE, "--out", "p"],
        ["samples", f"r.yaml/{ESCAPE}"],
    ]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "curate", *command], cwd=place, capture_output=True
        )
        said = done.stdout + done.stderr
        for steers in ("\x1b", "\x07", "\r", "\u202e"):
            assert steers.encode() not in said, (command, said)
        assert b"Traceback" not in said, (command, said)


def test_names_are_no_markup_of_the_terminal(capsys):
    said = "30 of 30 rows of class '[/red]' are gone"
    warning = {"op": "word_count", "note": said, "count_sum": 30, "warning": "class", "step": 1}
    print_run(make_manifest(notes=[warning]), Console(width=200))
    assert said in capsys.readouterr().out
