import os

import pytest

from pipelines.readers import Images
from pipelines.readers.read_plan import make_plan


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


@pytest.mark.parametrize("name", ["metadata.csv", "cat/metadata.jsonl"])
@pytest.mark.parametrize("pattern", ["", "/*/*.jpg"])
def test_images_fingerprint_follows_the_metadata(folder, name, pattern):
    read = Images(path=f"{folder}{pattern}")
    seen = [make_plan(read).fingerprint]
    (folder / name).write_text("file_name,x\n")
    seen.append(make_plan(read).fingerprint)
    (folder / name).write_text("file_name,xy\n")
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
        ("metadata.jsonl", '{"file_name": \n', "line 1 is broken JSON"),
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
