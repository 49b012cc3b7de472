import os

import pytest

from pipelines import listings
from pipelines.errors import UserError
from pipelines.walks import HIDDEN, LEFT_OVER, NO_FILE, NOWHERE, OTHER_KIND, OUTSIDE, TWICE, fits


@pytest.fixture
def folder(tmp_path):
    for name in ("in/a.txt", "in/deep/b.txt", "in/_c.txt", "in/_x/d.txt", "in/e.csv", "out/f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def found(folder, pattern="", **more):
    looked = listings.look(f"{folder}/in{pattern}", (".txt",), **more)
    return [file.name for file in looked.files], dict(looked.passed)


@pytest.mark.parametrize("pattern", ["", "/**/*.txt"])
def test_folders_and_globs_are_walked_alike(pattern, folder):
    (folder / "in/loop").symlink_to(folder / "in")
    (folder / "in/round").symlink_to("round")
    (folder / "in/nowhere.txt").symlink_to("gone.txt")
    (folder / "in/again.txt").symlink_to("a.txt")
    (folder / "in/far.txt").symlink_to(folder / "out/f.txt")
    (folder / "in/away").symlink_to(folder / "out")
    os.mkfifo(folder / "in/pipe.txt")
    (folder / "in/.hidden.txt").write_text("x")
    (folder / "in/_curate").mkdir()
    names, passed = found(folder, pattern)
    assert names == ["_c.txt", "_x/d.txt", "a.txt", "deep/b.txt"]
    passed.pop("e.csv", None)
    assert passed == {
        "loop": TWICE,
        "round": NOWHERE,
        "nowhere.txt": NOWHERE,
        "again.txt": TWICE,
        "far.txt": OUTSIDE,
        "away": OUTSIDE,
        "pipe.txt": NO_FILE,
        ".hidden.txt": HIDDEN,
        "_curate": LEFT_OVER,
    }
    names, passed = found(folder, pattern, outside=True)
    assert [name for name in names if name in ("away/f.txt", "far.txt")]
    assert OUTSIDE not in passed.values()


def test_link_stands_in_for_what_is_read_nowhere_else(folder):
    (folder / "in/e.txt").symlink_to("e.csv")
    assert "e.txt" in found(folder)[0]


def test_names_of_other_kinds_are_told(folder):
    assert found(folder)[1] == {"e.csv": OTHER_KIND}


def test_nothing_found_says_what_was_passed_over(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "in/far.txt").symlink_to(tmp_path / "x.txt")
    with pytest.raises(listings.NoInput, match=r"links out of the input .*follow.*: far\.txt"):
        listings.look(str(tmp_path / "in"), (".txt",))


@pytest.mark.parametrize(
    ("path", "pattern", "whole", "begins"),
    [
        ("a.txt", "*.txt", True, True),
        ("a/b.txt", "*.txt", False, False),
        ("a/b.txt", "**/*.txt", True, True),
        ("a", "*/b/*.txt", False, True),
        ("c", "a/**", False, False),
        ("a/b/c", "a/**", True, True),
    ],
)
def test_globs_fit(path, pattern, whole, begins):
    parts, globs = tuple(path.split("/")), tuple(pattern.split("/"))
    assert fits(parts, globs) is whole
    assert fits(parts, globs, begins=True) is begins


def test_name_that_is_no_text_is_a_sentence(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    with pytest.raises(UserError, match=r"not UTF-8: .*caf\\xe9\.txt; rename it"):
        listings.look(str(tmp_path), (".txt",))


def test_name_that_is_not_utf8_is_told_by_its_bytes(folder):
    for name in (b"\xff.dat", b".\xfe.txt", b"d\xfd/x.dat"):
        place = folder / "in" / os.fsdecode(name)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"")
    (folder / "in" / os.fsdecode(b"\xfc.txt")).symlink_to("gone")
    _, passed = found(folder)
    told = {name: why for name, why in passed.items() if "\\x" in name}
    assert told == {
        "\\xff.dat": OTHER_KIND,
        ".\\xfe.txt": HIDDEN,
        "d\\xfd/x.dat": OTHER_KIND,
        "\\xfc.txt": NOWHERE,
    }
