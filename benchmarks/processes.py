"""Measure a command as a whole process: CPU, wall time and memory, children included.

CPU seconds are user + system of the process and all children it waited for; memory is the peak
resident set of the largest of them. A process starts with its parent's peak on its own account
(`exec` hands it down), so the command is started by this file run as a process of its own, which
is small: `python processes.py LIMIT COMMAND...`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")
ONE_THREAD = dict.fromkeys([f"{library}_NUM_THREADS" for library in _LIBRARIES], "1")
"""Environment that keeps compiled libraries on one thread, so that waiting is not counted."""


def measure(
    command: list[str], log: Path, limit: float = 7_200, env: dict[str, str] | None = None
) -> dict[str, float]:
    """Run a command; returns `cpu_seconds`, `wall_seconds` and `peak_mb`.

    What it prints goes to `log`. Fails with the end of the log if the command does, or if it runs
    longer than `limit` seconds.
    """
    launcher = [sys.executable, "-I", "-S", __file__, str(limit), *command]
    with log.open("wb") as file:
        done = subprocess.run(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            env=os.environ | ONE_THREAD | (env or {}),
            check=True,
        )
    used: dict[str, float] = json.loads(done.stdout)
    code = used.pop("exit_code")
    if code:
        tail = log.read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"{' '.join(command)}\nexits with {code:.0f}; {log} ends with\n{tail}")
    return used


def _launch(limit: float, command: list[str]) -> dict[str, float]:
    """Start the command with its output on our stderr, and wait for it and its children."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, limit)
    _, status, used = os.wait4(process.pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "wall_seconds": round(time.perf_counter() - start, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
        "exit_code": process.returncode,
    }


if __name__ == "__main__":
    print(json.dumps(_launch(float(sys.argv[1]), sys.argv[2:])))
