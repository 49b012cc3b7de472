"""The worked examples of docs/architecture.md, as packages of somebody else bring them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs/architecture.md").read_text()
MAIL = """\
From ann@x Thu Jan  1 00:00:00 2026
From: ann
Subject: one

Call 555 please.

From ann@x Thu Jan  1 00:00:01 2026
From: ann
Subject: two

BUY NOW OR NEVER

From ann@x Thu Jan  1 00:00:02 2026
From: ann
Subject: three

A third mail.

From ann@x Thu Jan  1 00:00:03 2026
From: ann
Subject: four

A fourth mail.

From bob@x Thu Jan  1 00:00:04 2026
From: bob
Subject: five

A mail by another.
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def curate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from curate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def package(tmp_path):
    """A folder with the examples and the metadata of a package that brings them."""
    for source in blocks("python"):
        name = re.match(r'"""(\w+\.py)"""', source)
        (tmp_path / name[1]).write_text(source)
    about = tmp_path / "examples-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 1\n")
    points = re.sub(r'\[project.entry-points."(.*)"\]', r"[\1]", blocks("toml")[0])
    (about / "entry_points.txt").write_text(points.replace('"', ""))
    (tmp_path / "recipe.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail/a.mbox").write_text(MAIL)
    return tmp_path


def test_examples_run_together(package):
    done = curate(package, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    out = package / "out"
    manifest = json.loads((out / "_curate/manifest.json").read_text())
    assert manifest["rows"] == {"in": 5, "kept": 3, "dropped": 2, "quarantined": 0, "derived": 0}
    assert manifest["dropped_by_reason"] == {"shouting": 1, "too_many": 1}
    (shard,) = (out / "train").glob("*.jsonl")
    rows = [json.loads(line) for line in shard.read_text().splitlines()]
    assert {row["sender"] for row in rows} == {"ann", "bob"}
    assert not any("555" in row["text"] for row in rows)
    assert 'path: "train/*.jsonl"' in (out / "README.md").read_text()
    assert not (out / "dataset_dict.json").exists()


@pytest.mark.parametrize(
    ("file", "method", "wrong", "said"),
    [
        ("redact_digits.py", "apply", "aply", "has no method `apply(self, rows: "),
        ("at_most_per.py", "send", "sends", "has no method `send(self, signed: "),
        ("mbox.py", "read", "reads", "has no method `read(self, piece: "),
        ("json_lines.py", "write", "writes", "has no method `write(self, batches: "),
    ],
)
def test_class_with_a_misspelt_method_is_refused_when_the_recipe_is_loaded(
    package, file, method, wrong, said
):
    source = (package / file).read_text()
    (package / file).write_text(source.replace(f"def {method}(", f"def {wrong}("))
    done = curate(package, "validate", "recipe.yaml")
    assert done.returncode == 2
    assert said in done.stderr
    assert f"did you mean '{wrong}'?" in done.stderr
    assert "Traceback" not in done.stderr
