"""Kill runs at random and give them every kind of fault: what ends how, and is anything lost?

    python benchmarks/chaos.py [--kills 50] [--seed 0] [--page docs/reliability.md]

Kills: a text and an image recipe with one and two workers are started, and at a random moment the
driver, the whole process group or one worker gets SIGKILL. The same command is then run to its end;
shards, ledger and keys must have the bytes of an undisturbed run. Faults: one run for each kind;
its exit code must be the one that is documented, its rows must balance where it has an output, and
what it says must be a sentence. Writes the page; ends with 1 if anything is not as promised.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PATIENCE = 300
STARTING = 90
"""Seconds in which a worker ends whose driver was killed as it started: it looks for it for 60."""
_STEP = '''
import os, re, signal, time
from typing import Literal
import numpy as np
from pipelines.rows.verdicts import within
from pipelines.steps.step import Filter


class Misbehave(Filter):
    """Do what a text says."""

    op: Literal["misbehave"] = "misbehave"

    def judge(self, rows, chance):
        for text in rows.text.to_pylist():
            if text == "sleep":
                time.sleep(600)
            if text == "backtrack":
                re.match(r"(a+)+$", "a" * 60 + "b")
            if text == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if text == "raise":
                raise ZeroDivisionError("a bad row")
        return within(np.arange(len(rows)), None, None, below="", above="")
'''
PAGE = """\
# Reliability

Made by `python benchmarks/chaos.py` on {date} ({machine}). What it
found is checked, not only told: the script ends with 1 where a line is not as promised.

## Kills

{kills} runs got SIGKILL at a random moment, then the same command was run to its end. Shards,
ledger and keys had the bytes of an undisturbed run in {same} of {kills}.

{kill_table}

A worker that is killed ends its run within seconds, with exit code 1. Workers whose driver is gone
end by themselves: at once, or within a minute and a half where they were just starting. A run that
is killed when its output is already in place is done.

## Faults

Exit codes: 0 done, 1 the run failed or its output may not be used, 2 something for the user to
mend, 128 + n ended by signal n. *Balance*: whether rows in = kept + dropped + quarantined in the
manifest of the output, or of what was put aside; `-` where there is neither.

{fault_table}
"""


@dataclass
class Bench:
    """Where everything lies, and what went wrong."""

    folder: Path
    lot: random.Random
    wrong: list[str] = field(default_factory=list)

    def recipe(self, name: str, text: str) -> Path:
        """Write a recipe."""
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the step that misbehaves is installed."""
    about = folder / "package/misbehave-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (folder / "package/misbehave.py").write_text(_STEP)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehave\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[curate.steps]\nmisbehave = misbehave:Misbehave\n")
    path = os.pathsep.join([str(folder / "package"), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}


def start(bench: Bench, *words: str) -> subprocess.Popen[str]:
    """Start `curate` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "curate", *words],
        cwd=bench.folder,
        env=environment(bench.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and output; a run that does not end has 124."""
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 124, "did not end"
    return process.returncode, said


def texts(bench: Bench) -> None:
    """Write 9,000 texts, many of them near-copies, in six files, one of them compressed."""
    words = [f"word{i}" for i in range(3000)]
    for number in range(6):
        lines = []
        for i in range(1500):
            topic = random.Random(i if i % 3 else i + 10_000 * number)
            text = [topic.choice(words) for _ in range(80)]
            text[bench.lot.randrange(80)] = "changed"
            lines.append(json.dumps({"id": f"{number}-{i}", "text": " ".join(text)}))
        data = "\n".join(lines).encode()
        folder = bench.folder / "texts"
        folder.mkdir(exist_ok=True)
        if number:
            (folder / f"{number}.jsonl").write_bytes(data)
        else:
            (folder / "0.jsonl.gz").write_bytes(gzip.compress(data))


def images(bench: Bench) -> None:
    """Write 400 pictures in two classes, some of them copies at another quality."""
    for i in range(400):
        draw = np.random.default_rng(i if i % 4 else i - 1 if i else 0)
        coarse = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        folder = bench.folder / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i}.jpg", quality=95 if i % 4 else 80)


RECIPES = {
    "text": """\
name: chaos-text
read: {format: jsonl, path: texts, id: id}
steps:
  - op: normalize_text
  - op: exact_dedup
  - op: near_dedup
    similarity: 0.7
  - op: line_dedup
write: {path: OUT, keys: true, shard_size: 1MB}
""",
    "image": """\
name: chaos-image
read: {format: images, path: images}
steps:
  - op: image_check
  - op: image_near_dedup
  - op: sample
    fraction: 0.9
write: {path: OUT, shard_size: 1MB}
""",
}


def digest(out: Path) -> str:
    """Return one hash of all files of rows, ledger and keys of an output."""
    whole = hashlib.sha256()
    for path in sorted(p for p in out.rglob("*") if p.suffix in (".arrow", ".parquet")):
        whole.update(path.relative_to(out).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a run."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "-g", str(process.pid)], capture_output=True, text=True
    )
    lines = [line.split(None, 1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, args in lines if "sdk_worker_main" in args and "sh -c" not in args]


def kill_one(bench: Bench, kind: str, workers: int, victim: str, clean: tuple[str, float]) -> bool:
    """Kill a run at a random moment and take it up; tell whether the bytes are those wanted."""
    name = f"killed-{kind}-{workers}"
    out = bench.folder / name
    shutil.rmtree(out, ignore_errors=True)
    recipe = bench.recipe(name, RECIPES[kind].replace("OUT", name))
    command = ("run", recipe.name, "--workers", str(workers))
    process = start(bench, *command)
    time.sleep(bench.lot.uniform(0.3, 1.0) * clean[1])
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif victim == "driver":
        process.kill()
    elif hit := workers_of(process):
        os.kill(bench.lot.choice(hit), signal.SIGKILL)
    began = time.monotonic()
    first, _ = ended(process)
    if time.monotonic() - began > STARTING:
        bench.wrong.append(f"{kind}, {workers} workers, {victim} killed: processes were left")
    done = first == 0 or out.exists()  # killed after the output was there, and whole
    code, said = (0, "") if done else ended(start(bench, *command))
    if code != 0:
        bench.wrong.append(
            f"{kind}, {workers} workers, {victim} killed: then {code}: {said[-300:]}"
        )
        return False
    return digest(out) == clean[0]


def kills(bench: Bench, number: int) -> tuple[str, int]:
    """Kill runs in all ways in turn; returns the table and how many came out the same."""
    texts(bench)
    images(bench)
    clean: dict[tuple[str, int], tuple[str, float]] = {}
    for kind in RECIPES:
        for workers in (1, 2):
            name = f"clean-{kind}-{workers}"
            recipe = bench.recipe(name, RECIPES[kind].replace("OUT", name))
            began = time.monotonic()
            code, said = ended(start(bench, "run", recipe.name, "--workers", str(workers)))
            assert code == 0, said
            clean[kind, workers] = (digest(bench.folder / name), time.monotonic() - began)
        if clean[kind, 1][0] != clean[kind, 2][0]:
            bench.wrong.append(f"{kind}: two workers wrote other bytes than one")
    ways = [(k, 1, v) for k in RECIPES for v in ("driver", "group")]
    ways += [(k, 2, v) for k in RECIPES for v in ("driver", "group", "one worker")]
    tally = {way: [0, 0] for way in ways}
    for i in range(number):
        kind, workers, victim = way = ways[i % len(ways)]
        same = kill_one(bench, kind, workers, victim, clean[kind, workers])
        tally[way][0] += 1
        tally[way][1] += same
        if not same:
            bench.wrong.append(f"{kind}, {workers} workers, {victim} killed: other bytes")
        print(f"kill {i + 1}: {kind}, {workers} workers, {victim}: {'same' if same else 'OTHER'}")
    rows = ["| recipe | workers | killed | runs | same bytes |", "|---|---|---|---|---|"]
    rows += [f"| {k} | {w} | {v} | {n} | {s} |" for (k, w, v), (n, s) in tally.items() if n]
    return "\n".join(rows), sum(same for _, same in tally.values())


@dataclass(frozen=True)
class Fault:
    """One kind of fault and what is promised of it."""

    kind: str
    code: int
    says: str
    """A pattern that the output must have."""
    run: Callable[[Bench, str], tuple[int, str]]
    """Make the fault and run into it, with a recipe and output of this name."""


def simple(
    make: Callable[[Path], None], read: str = "format: jsonl", more: str = "", *words: str
) -> Callable[[Bench, str], tuple[int, str]]:
    """Return what writes some input and runs over it."""

    def run(bench: Bench, name: str) -> tuple[int, str]:
        folder = bench.folder / f"{name}-in"
        folder.mkdir()
        make(folder)
        recipe = bench.recipe(
            name,
            f"name: {name}\nread: {{{read}, path: {folder}}}\nsteps:\n  - op: misbehave\n"
            f"  - op: exact_dedup\nwrite: {{path: {name}}}\n{more}",
        )
        return ended(start(bench, "run", recipe.name, *words))

    return run


def lines(*texts_: str, rows: int = 200) -> Callable[[Path], None]:
    """Return what writes JSON lines, some of them with these texts."""

    def write(folder: Path) -> None:
        own = [f"text {i}" for i in range(rows)] + list(texts_)
        said = "".join(json.dumps({"text": one}) + "\n" for one in own)
        (folder / "a.jsonl").write_text(said)

    return write


def raw(name: str, data: bytes) -> Callable[[Path], None]:
    """Return what writes a file beside 200 lines that are fine."""

    def write(folder: Path) -> None:
        lines()(folder)
        (folder / name).write_bytes(data)

    return write


def stray_quote(folder: Path) -> None:
    """Write 1,500 records, one of them with a quote that closes 500 lines on."""
    rows = [f"{i},text {i}" for i in range(1500)]
    rows[500], rows[1000] = '500,"text', '1000,text"'
    (folder / "a.csv").write_text("id,text\n" + "\n".join(rows) + "\n")


def half_parquet(folder: Path) -> None:
    """Write a Parquet file whose second row group is damaged."""
    table = pa.table({"text": [f"text {i} {'x' * 90}" for i in range(2000)]})
    path = folder / "a.parquet"
    pq.write_table(table, path, row_group_size=1000, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)


def cut_gzip(folder: Path) -> None:
    """Write a compressed file that lacks its end."""
    lines(rows=3000)(folder)
    whole = gzip.compress((folder / "a.jsonl").read_bytes())
    (folder / "b.jsonl.gz").write_bytes(whole[: len(whole) // 2])


def two_at_once(bench: Bench, name: str) -> tuple[int, str]:
    """Run one recipe twice; return how the second ends."""
    folder = bench.folder / f"{name}-in"
    folder.mkdir()
    lines("sleep")(folder)
    recipe = bench.recipe(
        name,
        f"name: {name}\nread: {{format: jsonl, path: {folder}}}\nsteps:\n  - op: misbehave\n"
        f"write: {{path: {name}}}\n",
    )
    first = start(bench, "run", recipe.name)
    while not list(bench.folder.glob(f".{name}.work-*/plan*")) and first.poll() is None:
        time.sleep(0.1)
    found = ended(start(bench, "run", recipe.name))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    return found


def signalled(number: signal.Signals) -> Callable[[Bench, str], tuple[int, str]]:
    """Return what sends a signal to a run that hangs."""

    def run(bench: Bench, name: str) -> tuple[int, str]:
        folder = bench.folder / f"{name}-in"
        folder.mkdir()
        lines("sleep")(folder)
        recipe = bench.recipe(
            name,
            f"name: {name}\nread: {{format: jsonl, path: {folder}}}\nsteps:\n  - op: misbehave\n"
            f"write: {{path: {name}}}\n",
        )
        process = start(bench, "run", recipe.name)
        while not list(bench.folder.glob(f".{name}.work-*/pulse/*")) and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(number)
        return ended(process)

    return run


def changing(bench: Bench, name: str) -> tuple[int, str]:
    """Cut a file short while it is read."""
    folder = bench.folder / f"{name}-in"
    folder.mkdir()
    lines(rows=200)(folder)
    path = folder / "b.jsonl"
    path.write_text("".join(json.dumps({"text": f"b {i} {'x' * 500}"}) + "\n" for i in range(3000)))
    recipe = bench.recipe(
        name,
        f"name: {name}\nread: {{format: jsonl, path: {folder}}}\nsteps:\n  - op: exact_dedup\n"
        f"write: {{path: {name}}}\n",
    )
    process = start(bench, "run", recipe.name)
    while not list(bench.folder.glob(f".{name}.work-*/plan*")) and process.poll() is None:
        time.sleep(0.002)
    os.truncate(path, 700_000)
    return ended(process)


def full_disk(bench: Bench, name: str) -> tuple[int, str]:
    """Write to a file system of 4 MB."""
    texts(bench)
    place = bench.folder / f"{name}-disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)])
    if mounted.returncode:
        return -1, "not run: no right to mount"
    try:
        text = RECIPES["text"].replace("OUT", str(place / "out"))
        recipe = bench.recipe(name, text)
        return ended(start(bench, "run", recipe.name, "--workers", "2"))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """Serve a store that answers every request with an error; yields its address."""
    said = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                with one:
                    method = one.recv(65536).split(b" ")[0]
                    one.sendall(head.encode() + (b"" if method == b"HEAD" else said))

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def store(status: int, code: str) -> Callable[[Bench, str], tuple[int, str]]:
    """Return what writes to a store that answers so, or to none where the status is 0."""

    def run(bench: Bench, name: str) -> tuple[int, str]:
        folder = bench.folder / f"{name}-in"
        folder.mkdir()
        lines()(folder)
        with ExitStack() as stack:
            url = stack.enter_context(answering(status, code)) if status else "http://127.0.0.1:9"
            recipe = bench.recipe(
                name,
                f"name: {name}\nread: {{format: jsonl, path: {folder}}}\n"
                f"write: {{path: s3://bucket/out}}\nstorage:\n  s3: {{endpoint_url: {url}, "
                "config_kwargs: {connect_timeout: 1, retries: {max_attempts: 1}}}\n",
            )
            keys = {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret"}
            os.environ.update(keys)
            return ended(start(bench, "run", recipe.name))

    return run


def unanswered(bench: Bench, name: str) -> tuple[int, str]:
    """Name a job service that is not there."""
    make = simple(
        lines(),
        "format: jsonl",
        "",
        "--runner",
        "PortableRunner",
        "--",
        "--job_endpoint=localhost:9",
    )
    return make(bench, name)


UTF16 = "text one\ntext two\n".encode("utf-16")
FAULTS = (
    Fault("a row makes a step raise", 0, "1 quarantined", simple(lines("raise"))),
    Fault("too many such rows", 1, "too many rows quarantined", simple(lines(*["raise"] * 30))),
    Fault("a broken line", 0, "1 quarantined", simple(raw("b.jsonl", b'{"text": "a"}\n{"te\n'))),
    Fault(
        "a quote in a CSV closes 500 lines on",
        0,
        "1,500 rows in = 1,498",
        simple(stray_quote, "format: csv"),
    ),
    Fault("a compressed file lacks its end", 1, "damaged|not read whole", simple(cut_gzip)),
    Fault(
        "the same, with `read: {damaged: allow}`",
        0,
        "damaged|not read whole",
        simple(cut_gzip, "format: jsonl, damaged: allow", "max_quarantined: 100000\n"),
    ),
    Fault(
        "a damaged row group of a Parquet file",
        1,
        "damaged|not read whole|quarantined",
        simple(half_parquet, "format: parquet"),
    ),
    Fault("a file shrinks while it is read", 1, "changed|shrunk|not read whole", changing),
    Fault("a file is UTF-16", 1, "UTF-16", simple(raw("b.jsonl", UTF16))),
    Fault("no input", 2, "no file|nothing|not exist|No such", simple(lambda folder: None)),
    Fault("a second run into one output", 2, "being written by another run", two_at_once),
    Fault("Ctrl-C", 130, "interrupted; the same command", signalled(signal.SIGINT)),
    Fault("SIGTERM", 143, "terminated; the same command", signalled(signal.SIGTERM)),
    Fault(
        "a worker dies",
        1,
        "a worker process died",
        simple(lines("die"), "format: jsonl", "", "--workers", "2"),
    ),
    Fault(
        "a row hangs a step (`stalled_after: 3s`)",
        1,
        "nothing moved for",
        simple(lines("sleep"), "format: jsonl", "run: {stalled_after: 3s}\n"),
    ),
    Fault(
        "a row hangs a step in C code",
        1,
        "nothing moved for",
        simple(lines("backtrack"), "format: jsonl", "run: {stalled_after: 3s}\n"),
    ),
    Fault("the disk is full", 1, "no space is left", full_disk),
    Fault("no job service answers", 1, "Connection refused", unanswered),
    Fault("an object store refuses (403)", 2, "refuses", store(403, "AccessDenied")),
    Fault("an object store fails (500)", 1, "failed", store(500, "InternalError")),
    Fault("an object store cannot be reached", 1, "cannot be reached", store(0, "")),
)


def balance_of(out: Path) -> str:
    """Tell whether the rows of an output, or of what was put aside, balance."""
    for place in (out, out.with_name(f"{out.name}.rejected")):
        if (path := place / "_curate/manifest.json").exists():
            rows = json.loads(path.read_text())["rows"]
            parts = (rows["kept"], rows["dropped"], rows["quarantined"])
            return "yes" if rows["in"] == sum(parts) else "NO"
    return "-"


def faults(bench: Bench) -> str:
    """Run into every kind of fault; returns the table."""
    rows = ["| fault | exit code | balance | what is said |", "|---|---|---|---|"]
    for number, fault in enumerate(FAULTS):
        name = f"fault-{number}"
        code, said = fault.run(bench, name)
        said = said.replace(f"{bench.folder}/", "")
        last = next((line for line in said.splitlines() if re.search(fault.says, line)), "")
        balance = balance_of(bench.folder / name)
        ok = code == fault.code and last and balance != "NO" and "Traceback" not in said
        if code == -1:
            ok, last = True, said
        if not ok:
            bench.wrong.append(f"{fault.kind}: {code} (promised: {fault.code}): {said[-600:]}")
        shown = re.sub(r"process \d+", "process …", " ".join(last.split())).replace("|", "\\|")
        shown = shown if len(shown) <= 150 else f"{shown[:149]}…"
        rows.append(f"| {fault.kind} | {code} | {balance} | {shown} |")
        print(rows[-1])
    return "\n".join(rows)


def main() -> None:
    """Run all, write the page."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--kills", type=int, default=50)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--page", type=Path)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        bench = Bench(Path(folder), random.Random(given.seed))
        fault_table = faults(bench)
        kill_table, same = kills(bench, given.kills)
    if given.page:
        made = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} cores, {platform.system()}, Python "
            f"{platform.python_version()}, seed {given.seed}",
        }
        tables = {"kill_table": kill_table, "fault_table": fault_table}
        given.page.write_text(PAGE.format(kills=given.kills, same=same, **made, **tables))
    print(
        "\n".join(["", *bench.wrong])
        if bench.wrong
        else f"\nall {given.kills} kills and faults as promised"
    )
    sys.exit(bool(bench.wrong))


if __name__ == "__main__":
    main()
