"""The README is run as it stands: its commands, its code, its generated parts.

Proofs train for minutes, so here they run in the profile that tries the plumbing; `pytest -m slow`
runs the same commands to the letter.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


QUICK = blocks("sh")[0].splitlines()
REST = [line for block in blocks("sh")[1:] for line in block.splitlines()]


def without_setup(line: str) -> list[str]:
    """Cut a command line at && and leave out what makes the environment the tests run in."""
    parts = [part.strip() for part in line.split(" && ")]
    return [p for p in parts if "-m venv" not in p and "pip install" not in p]


def run(command: str, folder: Path, allowed: tuple[int, ...] = (0,)) -> str:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode in allowed, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def tried(command: str) -> str:
    """Return a command with its proof in the profile that only tries the plumbing."""
    if command.startswith("curate prove"):
        return f"{command} --profile smoke"
    small = "prove.profile=smoke", "prove.seeds=3", "prove.sizes=0", "prove.rates=[]"
    settings = " ".join(f"--set '{setting}'" for setting in small)
    return f"{command} {settings}" if command.endswith("--prove") else command


def as_it_stands(command: str) -> str:
    return command


@pytest.fixture(scope="module", params=[tried, pytest.param(as_it_stands, marks=pytest.mark.slow)])
def quick_start(tmp_path_factory, request):
    """What the first command prints, and a folder in which the others find what it made."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    commands = (command.replace(".venv/bin/", "") for command in without_setup(QUICK[0]))
    said = [run(request.param(command), folder) for command in commands]
    return SimpleNamespace(folder=folder, said=said, version=request.param)


def test_first_command_ends_with_table_report_and_verdict(quick_start):
    names = ("quickstart-text", "quickstart-images")
    for name, said in zip(names, quick_start.said[1:], strict=True):
        assert "rows in = " in said
        report = quick_start.folder / "out" / name / "_curate/report.html"
        assert report.stat().st_size > 10_000
        assert re.search(r"^curated .* [\d.]+ % ", said, re.MULTILINE)
        if quick_start.version is as_it_stands:
            assert re.search(r"accuracy [\d.]+ % against [\d.]+ %", said.splitlines()[-1])
        else:
            assert "The smoke profile only tries the plumbing" in said


def test_other_commands_run(quick_start):
    for command in REST:  # a proof may find no support, which is exit code 3
        allowed = (0, 3) if command.startswith("curate prove") else (0,)
        run(quick_start.version(command), quick_start.folder, allowed)


def test_second_command_runs_the_tests_and_is_what_ci_runs():
    *checks, tests = without_setup(QUICK[1])
    assert tests.startswith(".venv/bin/pytest")
    assert ".venv/bin/lint-imports" in checks
    assert "sed -n 2p" in (ROOT / ".ci/run").read_text()


def test_step_example_works(tmp_path):
    step, test = blocks("python")
    (tmp_path / "shouting.py").write_text(step)
    (tmp_path / "test_shouting.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shouting.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_package_of_ones_own_brings_an_operator(tmp_path):
    (tmp_path / "shouting.py").write_text(blocks("python")[0])
    about = tmp_path / "shouting-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    points = blocks("toml")[0].replace('[project.entry-points."curate.steps"]', "[curate.steps]")
    (about / "entry_points.txt").write_text(points.replace('"', ""))
    done = subprocess.run(
        [sys.executable, "-m", "curate", "ops", "shouting"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "Drop texts written in capitals." in done.stdout, done.stderr


def test_generated_parts_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "benchmarks/readme.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_recipe_example_is_valid(tmp_path):
    (tmp_path / "web.yaml").write_text(blocks("yaml")[0])
    assert "ok" in run("curate validate web.yaml", tmp_path)
