"""The house: what a reader who looks for a thing may count on; lint-imports holds the imports."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("curate", "pipelines", "training")
MOST_FILES = 12

TOLD_APART = {
    *("Rows", "Plan", "Job", "Recipe", "Places", "Estimate", "Split", "lines_of", "cut", "decode"),
    *("kind_of", "decided", "sizes_of", "plan_partitions", "matrix", "write_json", "class_names"),
}
"""Names that once stood for two or three things, in whatever rooms."""


def files_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def public_names(path: Path) -> list[str]:
    """Return the public classes and functions at the top of a file."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text()).body
    return [node.name for node in body if isinstance(node, kinds) and node.name[0] != "_"]


def twice(found: dict[str, list[Path]]) -> dict[str, list[Path]]:
    return {name: paths for name, paths in found.items() if len(paths) > 1}


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_name_stands_twice_in_a_room(room):
    found = defaultdict(list)
    for path in files_of(room):
        if path.name != "__init__.py":
            found[path.name].append(path)
    assert twice(found) == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_name_stands_twice_in_a_room(room):
    found = defaultdict(list)
    for path in files_of(room):
        for name in public_names(path):
            found[name].append(path)
    assert twice(found) == {}


def test_names_that_meant_several_things_mean_one():
    found = defaultdict(list)
    for room in ROOMS:
        for path in files_of(room):
            for name in TOLD_APART.intersection(public_names(path)):
                found[name].append(path)
    assert twice(found) == {}


def test_no_room_has_more_than_a_dozen_files():
    counts = defaultdict(int)
    for room in ROOMS:
        for path in files_of(room):
            counts[path.parent] += path.name != "__init__.py"
    assert {room: count for room, count in counts.items() if count > MOST_FILES} == {}


def test_tests_mirror_the_rooms():
    """Every folder of tests of a room is a room."""
    for room in ROOMS:
        for folder in (ROOT / "tests" / room).rglob("*/"):
            mirrored = ROOT / folder.relative_to(ROOT / "tests")
            assert folder.name == "__pycache__" or mirrored.is_dir(), folder
