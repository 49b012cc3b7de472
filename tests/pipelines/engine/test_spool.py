import gzip
import json
from pathlib import Path

import pytest

from pipelines.engine import spool
from pipelines.engine.spool import PLAN_FILE, places_of, read_shard, shard_number, spool_round
from pipelines.exchange.mail import TASK, home, message
from pipelines.readers import read_plan as plan
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.readers.read_plan import make_plan
from pipelines.readers.reader import ChunkSize

REQUIRED = ("text",)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jsonl:
    """A plain file that is read in place, a compressed one that is cut up."""
    rows = [{"text": f"row {i} {i * i}", "n": i} for i in range(300)]
    lines = [json.dumps(row) for row in rows]
    lines[7] = "{broken"
    data = "\n".join(lines).encode()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(b'{"text": "x"}\n')
    (tmp_path / "in/b.jsonl.gz").write_bytes(gzip.compress(data))
    monkeypatch.setitem(plan.read_task.__kwdefaults__, "size", ChunkSize(rows=20))
    monkeypatch.setattr(spool, "SPOOL_BYTES", 3000)
    read = Jsonl(path=str(tmp_path / "in"))
    make_plan(read, target_bytes=500).save(f"{tmp_path}/{PLAN_FILE}")
    return read


def post(work: Path, read: Jsonl, task: int) -> list[str]:
    address = home(shard_number(task))
    return [
        to for to, _ in spool_round(str(work), read, REQUIRED)(address, [message(address, TASK)[1]])
    ]


def test_spooled_task_is_read_as_its_pieces(tmp_path: Path, read: Jsonl) -> None:
    assert post(tmp_path, read, 0) == [home(0)]
    pieces = post(tmp_path, read, 1)
    assert pieces == [home(shard_number(1) + i) for i in range(len(pieces))]
    assert len(pieces) > 4
    found, bad = [], []
    for i in range(len(pieces)):
        number = shard_number(1) + i
        for chunk in read_shard(str(tmp_path), number, read, REQUIRED, True):
            found += chunk.table["n"].to_pylist()
            bad += chunk.bad
        assert set(places_of(str(tmp_path), number, read).names.values()) == {"b.jsonl.gz"}
    assert found == [n for n in range(300) if n != 7]
    assert [b.where.partition(",")[0] for b in bad] == ["line 8"]
    (plain,) = read_shard(str(tmp_path), 0, read, REQUIRED, True)
    assert plain.table["text"].to_pylist() == ["x"]


def test_pieces_have_no_bounds_but_bytes(tmp_path: Path, read: Jsonl) -> None:
    post(tmp_path, read, 1)
    sizes = [path.stat().st_size for path in (tmp_path / "shards").rglob("piece-*.arrow")]
    assert max(sizes) < 4 * 3000


def test_spooling_is_not_done_twice(
    tmp_path: Path, read: Jsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = post(tmp_path, read, 1)
    monkeypatch.setattr(spool, "read_task", lambda *_, **__: 1 / 0)
    assert post(tmp_path, read, 1) == first


def test_spooling_that_was_cut_off_starts_again(
    tmp_path: Path, read: Jsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(spool.files, "write_bytes_atomically", _until_the_third())
        with pytest.raises(OSError, match="full"):
            post(tmp_path, read, 1)
    pieces = post(tmp_path, read, 1)
    rows = sum(
        len(chunk)
        for i in range(len(pieces))
        for chunk in read_shard(str(tmp_path), shard_number(1) + i, read, REQUIRED, True)
    )
    assert rows == 300


def _until_the_third():
    made, calls = spool.files.write_bytes_atomically, []

    def write(path: str, data: bytes) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError("the disk is full")
        made(path, data)

    return write


def test_numbers_of_pieces_never_reach_the_next_task(
    tmp_path: Path, read: Jsonl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_PIECE_BITS", 2)
    with pytest.raises(ValueError, match=r"b\.jsonl\.gz is too large"):
        post(tmp_path, read, 1)
