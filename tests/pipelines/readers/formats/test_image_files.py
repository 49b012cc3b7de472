import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.readers import Images
from pipelines.readers.read_plan import make_plan, read_task


@pytest.fixture
def folder(tmp_path):
    for name, data in {
        "cat/1.jpg": b"cat one",
        "cat/deep/2.PNG": b"not a picture",
        "dog/3.jpg": b"",
        "dog/4.jpg": b"dog four",
        "5.gif": b"no class",
        "dog/notes.txt": b"no image",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_images_folder_names_are_labels(folder, read_all):
    for target in (1, 1 << 20):
        table, bad = read_all(Images(path=str(folder)), target_bytes=target)
        assert table["_id"].to_pylist() == ["5.gif", "cat/1.jpg", "cat/deep/2.PNG", "dog/4.jpg"]
        assert table["label"].to_pylist() == [None, "cat", "cat", "dog"]
        assert table["image"][1].as_py() == {"bytes": b"cat one", "path": "cat/1.jpg"}
        assert (table["_key"].to_numpy() >> 7).tolist() == [0, 1, 2, 4]
        assert [(b.file, b.key >> 7, b.error) for b in bad] == [
            ("dog/3.jpg", 3, "an image file of zero bytes")
        ]


def test_images_without_a_class_are_bad_where_labels_are_needed(folder, read_all):
    table, bad = read_all(Images(path=str(folder)), required=("image", "label"))
    assert table.num_rows == 3
    assert [b.error for b in bad] == ["label 'label' is null", "an image file of zero bytes"]


def test_images_of_a_flat_folder_have_no_label(tmp_path, read_all):
    (tmp_path / "a.png").write_bytes(b"x")
    table, _ = read_all(Images(path=str(tmp_path)))
    assert table.column_names == ["image", "_key", "_id"]
    _, bad = read_all(Images(path=str(tmp_path)), required=("label",))
    assert bad[0].error == "no label 'label': no subfolder or metadata file says it"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_images_metadata_adds_columns(folder, read_all, kind):
    if kind == "csv":
        (folder / "metadata.csv").write_text('file_name,caption,label\ncat/1.jpg,"a, cat",kitty\n')
    else:
        line = '{"file_name": "cat/1.jpg", "caption": "a, cat", "label": "kitty"}\n'
        (folder / "metadata.jsonl").write_text(line)
    (folder / "dog" / "metadata.jsonl").write_text('{"file_name": "4.jpg", "size": 3}\n')
    table, _ = read_all(Images(path=str(folder), text="caption"))
    assert table["caption"].to_pylist() == [None, "a, cat", None, None]
    assert table["label"].to_pylist() == [None, "kitty", None, None]
    assert table["size"].to_pylist() == [None, None, None, 3]


def test_images_metadata_changes_are_seen(folder, read_all):
    for said in ("one", "three"):
        (folder / "metadata.jsonl").write_text(f'{{"file_name": "5.gif", "text": "{said}"}}\n')
        table, _ = read_all(Images(path=str(folder)))
        assert table["text"][0].as_py() == said


METADATA_LINES = {
    "metadata.csv": "file_name,x\n5.gif,v\n",
    "cat/metadata.jsonl": '{"file_name": "1.jpg", "x": "v"}',
}


@pytest.mark.parametrize("name", METADATA_LINES)
@pytest.mark.parametrize("pattern", ["", "/*/*.jpg"])
def test_images_fingerprint_follows_the_metadata(folder, name, pattern):
    read = Images(path=f"{folder}{pattern}")
    seen = [make_plan(read).fingerprint]
    one, other = (METADATA_LINES[name].replace("v", value) for value in ("1", "22"))
    (folder / name).write_text(one)
    seen.append(make_plan(read).fingerprint)
    (folder / name).write_text(other)
    seen.append(make_plan(read).fingerprint)
    os.utime(folder / name, (1, 1))
    seen += [make_plan(read).fingerprint, make_plan(read).fingerprint]
    assert seen[3] == seen.pop()
    assert len({*seen}) == 4
    assert [file.name for file in read.also_read(read.list_files())] == [name]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.csv", "name,x\n5.gif,1\n", "line 2 has no 'file_name'.*it has: name, x"),
        ("metadata.csv", 'file_name,x\n5.gif,1\na,"b"c\n', "line 3 is broken: broken quoting"),
        ("metadata.csv", 'file_name,x\n5.gif,"1\na,b\n', "line 2 is broken: .* never closed"),
        ("metadata.csv", "file_name,x\n5.gif\n", "line 2 is broken: 1 fields, but the header has"),
        ("metadata.jsonl", '{"file_name": \n', "line 1 is broken: broken JSON"),
        ("metadata.jsonl", '{"file_name": "5.gif", "image": 1}', "has a column 'image'"),
        ("metadata.jsonl", '{"file_name": "5.gif", "_key": 1}', "has a column '_key', which"),
    ],
)
def test_images_broken_metadata_is_refused(folder, read_all, name, content, said):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=said):
        read_all(Images(path=str(folder)))


def test_images_metadata_that_is_not_utf8_is_refused(folder, read_all):
    (folder / "metadata.csv").write_bytes(b"file_name,x\n5.gif,\xe9\n")
    with pytest.raises(ValueError, match=r"metadata.csv is not UTF-8 at byte 18"):
        read_all(Images(path=str(folder)))


def test_images_metadata_that_swallows_lines_is_refused(folder, read_all):
    names = [f"{i}.png,{i}" for i in range(9)]
    names[3], names[6] = '3.png,"3', '6.png,6"'
    (folder / "metadata.csv").write_text("\n".join(["file_name,x", *names]))
    with pytest.raises(ValueError, match=r"line 5 is broken: .* closes in line 8"):
        read_all(Images(path=str(folder)))


def test_images_are_planned_as_one_table(folder):
    plan = make_plan(Images(path=str(folder)), target_bytes=8)
    pieces = [piece for task in plan.tasks for piece in task.pieces]
    assert [(p.file, p.start, p.stop) for p in pieces] == [(0, i, i + 1) for i in range(5)]
    assert not any(task.spool for task in plan.tasks)


def test_images_that_only_metadata_names_are_rows_that_cannot_be_read(folder, read_all):
    (folder / "metadata.csv").write_text("file_name,x\n5.gif,1\ncat/none.jpg,2\n")
    table, bad = read_all(Images(path=str(folder)))
    assert [(b.file, b.error) for b in bad] == [
        ("cat/none.jpg", "there is no such file: a metadata file names it"),
        ("dog/3.jpg", "an image file of zero bytes"),
    ]
    assert table.num_rows == 4


def test_images_say_what_metadata_does_not_match(folder):
    lines = ["file_name,x", "5.gif,1", "5.gif,2", "no.jpg,3", "cat\\1.jpg,4", "CAT/deep/2.png,5"]
    (folder / "metadata.csv").write_text("\n".join(lines))
    read = Images(path=str(folder))
    assert sorted(read.look().said()) == [
        ("metadata.csv names a file on several lines, of which the last counts: 5.gif", 1),
        ("metadata.csv names files by other letters than theirs: cat/deep/2.PNG", 1),
        ("metadata.csv names files that are not there: no.jpg", 1),
        ("no line of metadata names these images: dog/3.jpg, dog/4.jpg", 2),
        ("passed over, as files of other kinds: dog/notes.txt", 1),
    ]
    plan = make_plan(read)
    chunks = [chunk for task in plan.tasks for chunk in read_task(read, task)]
    found = {row["_id"]: row["x"] for chunk in chunks for row in chunk.table.to_pylist()}
    assert found == {"5.gif": "2", "cat/1.jpg": "4", "cat/deep/2.PNG": "5", "dog/4.jpg": None}


def test_images_take_metadata_from_parquet(folder, read_all):
    pq.write_table(pa.table({"file_name": ["5.gif"], "x": [1]}), folder / "metadata.parquet")
    table, _ = read_all(Images(path=str(folder)))
    assert table["x"].to_pylist() == [1, None, None, None]


@pytest.mark.parametrize("name", ["../up.jpg", "/etc/passwd", "cat/../../up.jpg"])
def test_images_never_leave_the_folder_for_metadata(name, folder):
    (folder / "metadata.csv").write_text(f"file_name\n{name}\n")
    with pytest.raises(UserError, match=r"line 2 names .*, which is not below the folder"):
        Images(path=str(folder)).look()
