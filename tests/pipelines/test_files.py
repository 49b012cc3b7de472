import os
import uuid
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipelines import files, listings
from pipelines.errors import UserError


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    if request.param == "local":
        return str(tmp_path)
    return f"memory://{uuid.uuid4().hex}"


def fill(root, *names):
    for name in names:
        files.write_bytes_atomically(files.join(root, name), name.encode())


def names(listed):
    return [file.name for file in listed]


def test_files_bytes_round_trip(root):
    path = files.join(root, "sub", "a.bin")
    files.write_bytes_atomically(path, b"0123456789")
    assert files.read_bytes(path) == b"0123456789"
    assert files.read_bytes(path, 2, 5) == b"234"
    assert files.read_bytes(path, 8) == b"89"
    with files.open_input(path) as file:
        assert file.read(3) == b"012"
    files.write_bytes_atomically(path, b"new")
    assert files.read_bytes(path) == b"new"
    assert names(listings.list_files(root)) == ["sub/a.bin"]


def test_files_open_for_arrow(root):
    fill(root, "a")
    with files.open_arrow(files.join(root, "a")) as file:
        assert file.read() == b"a"


def test_files_rename_and_remove(root):
    fill(root, "d/a", "d/b")
    files.rename(files.join(root, "d"), files.join(root, "e"))
    assert names(listings.list_files(files.join(root, "e"))) == ["a", "b"]
    assert not files.exists(files.join(root, "d", "a"))
    files.remove_file(files.join(root, "e", "a"))
    files.remove_file(files.join(root, "e", "a"))
    assert names(listings.list_files(files.join(root, "e"))) == ["b"]
    files.remove_tree(files.join(root, "e"))
    files.remove_tree(files.join(root, "e"))
    assert not files.exists(files.join(root, "e"))
    files.make_dirs(files.join(root, "f", "g"))
    assert files.is_folder(files.join(root, "f", "g"))


def test_files_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(files, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_bytes_atomically(str(tmp_path / "a"), b"x")
    assert list(tmp_path.iterdir()) == []


def test_files_remote_write_never_leaves_a_gap(monkeypatch):
    path = f"memory://{uuid.uuid4().hex}/a"
    files.write_bytes_atomically(path, b"old")
    seen = []
    for name in ("rm", "rm_file", "_rm", "mv", "cp_file"):
        monkeypatch.setattr(MemoryFileSystem, name, lambda *_, **__: seen.append("touched"))
    files.write_bytes_atomically(path, b"new")
    assert files.read_bytes(path) == b"new"
    assert seen == []


def test_files_remote_rename_replaces_without_a_gap(monkeypatch):
    root = f"memory://{uuid.uuid4().hex}"
    fill(root, "a", "b")
    copy = MemoryFileSystem.cp_file

    def copied(system, source, target, **options):
        assert system.exists(target)
        copy(system, source, target, **options)

    monkeypatch.setattr(MemoryFileSystem, "cp_file", copied)
    files.rename(f"{root}/a", f"{root}/b")
    assert files.read_bytes(f"{root}/b") == b"a"
    assert not files.exists(f"{root}/a")


class Other(MemoryFileSystem):
    """A remote file system that is no object store, and remembers what it was asked."""

    protocol = "other"
    known: ClassVar[dict[str, bool]] = {}

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("other://", "memory://"))

    def exists(self, path, **options):
        return self.known.setdefault(path, super().exists(path, **options))

    def invalidate_cache(self, path=None):
        self.known.clear()


@pytest.fixture
def other():
    fsspec.register_implementation("other", Other, clobber=True)
    return f"other://{uuid.uuid4().hex}"


def test_files_listings_are_never_stale(other):
    path = f"{other}/a"
    assert not files.exists(path)
    MemoryFileSystem().pipe_file(path.replace("other", "memory"), b"by another worker")
    assert files.exists(path)


def test_files_of_no_object_store_are_renamed_into_place(other, monkeypatch):
    path = f"{other}/a"
    moved = []
    move = Other.mv
    monkeypatch.setattr(Other, "mv", lambda *given, **_: moved.append(given[2]) or move(*given))
    for data in (b"old", b"new"):
        files.write_bytes_atomically(path, data)
        assert files.read_bytes(path) == data
    assert [target.rpartition("/")[2] for target in moved] == ["a", "a"]


def test_files_folder_is_listed_by_name_without_hidden_entries(root):
    fill(root, "b.txt", "a/c.txt", "a/.hidden", "_curate/x.txt", "a/_tmp/y.txt", ".z.txt", "d.csv")
    assert names(listings.list_files(root)) == ["a/c.txt", "b.txt", "d.csv"]
    assert names(listings.list_files(root, (".txt",))) == ["a/c.txt", "b.txt"]
    assert [file.size for file in listings.list_files(root)] == [7, 5, 5]


def test_files_glob_names_are_relative_to_its_fixed_part(root):
    fill(root, "x/a/1.txt", "x/b/2.txt", "x/b/_3.txt", "x/b/4.csv")
    found = names(listings.list_files(files.join(root, "x/*/*.txt")))
    assert found == ["a/1.txt", "b/2.txt", "b/_3.txt"]
    assert names(listings.list_files(files.join(root, "x/b/*"))) == [
        "2.txt",
        "4.csv",
        "_3.txt",
    ]
    assert names(listings.list_files(files.join(root, "**/*.txt"))) == [
        "x/a/1.txt",
        "x/b/2.txt",
        "x/b/_3.txt",
    ]
    assert names(listings.list_files(files.join(root, "x/b/_*.txt"))) == ["_3.txt"]


def test_files_list_of_paths_is_named_from_the_folder_above_all(root):
    fill(root, "x/a/1.txt", "x/b/2.txt", "x/b/3.txt")
    paths = [files.join(root, "x/b"), files.join(root, "x/a/1.txt"), files.join(root, "x/b/2.txt")]
    assert names(listings.list_files(paths)) == ["a/1.txt", "b/2.txt", "b/3.txt"]
    assert names(listings.list_files(files.join(root, "x/a/1.txt"))) == ["1.txt"]


def test_files_path_with_wildcard_signs_may_be_a_name(tmp_path):
    (tmp_path / "a[1].txt").write_text("x")
    assert names(listings.list_files(str(tmp_path / "a[1].txt"))) == ["a[1].txt"]


def test_files_links_that_lead_in_circles_or_nowhere_harm_no_listing(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("in/a.txt", "in/deep/b.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "in/circle").symlink_to(tmp_path / "in")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/deep")
    (tmp_path / "in/nowhere.txt").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "in/pipe.txt")
    names = [file.name for file in listings.list_files(str(tmp_path / "in"))]
    assert names == ["a.txt", "deep/b.txt"]
    assert [file.name for file in listings.list_files(str(tmp_path / "in/*"))] == ["a.txt"]


def test_files_folder_with_wildcard_signs_is_meant_where_it_exists(tmp_path):
    for folder in ("da[t]a", "data"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.txt").write_text("x")
    assert [f.name for f in listings.list_files(f"{tmp_path}/da[t]a/*.txt")] == ["da[t]a.txt"]
    assert [f.name for f in listings.list_files(f"{tmp_path}/dat[a]/*.txt")] == ["data/data.txt"]


def test_files_relative_and_file_urls_are_local(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    (relative,) = listings.list_files("./a.txt")
    (url,) = listings.list_files(f"file://{tmp_path}/a.txt")
    assert relative.path == url.path == str(tmp_path / "a.txt")
    files.write_bytes_atomically("b.txt", b"y")
    assert files.read_bytes("b.txt") == b"y"


def test_files_nothing_found_says_what_is_there(root):
    fill(root, "data/a.csv", "data/b.csv")
    for missing in ("data/*.jsonl", "data/deep/er/*.jsonl", "data/c.jsonl"):
        with pytest.raises(listings.NoInput) as caught:
            listings.list_files(files.join(root, missing))
        said = str(caught.value)
        assert said.startswith("no file ")
        assert missing in said
        assert "it has a.csv, b.csv" in said
    with pytest.raises(ValueError, match=r"no .jsonl files in .*it has a.csv, b.csv"):
        listings.list_files(files.join(root, "data"), (".jsonl",))


def test_files_one_empty_path_of_several_is_an_error(root):
    fill(root, "a.csv")
    with pytest.raises(listings.NoInput, match=r"b\.csv"):
        listings.list_files([files.join(root, "a.csv"), files.join(root, "b.csv")])


def test_files_folder_without_entries_says_so(tmp_path):
    with pytest.raises(listings.NoInput, match="it has nothing"):
        listings.list_files(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("o\0x", "a path cannot hold a zero byte"),
        ("~nobody-of-that-name/x", "Could not determine home directory"),
        ("d\udcff/x", r"the name of a folder or file is not UTF-8: .*/d\\xff/x; rename it"),
        ("nonesuch://a/b", "no store is known by nonesuch://"),
    ],
)
def test_files_path_that_cannot_be_is_a_sentence(path, said):
    for use in (listings.look, files.exists, files.read_bytes, files.open_output, files.make_dirs):
        with pytest.raises(UserError, match=said):
            use(path)
