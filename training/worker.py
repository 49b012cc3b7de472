"""A worker process: `python -m training.worker OUT NUMBER` reads runs from stdin and trains them.

One thread and one import of torch for many runs. One JSON line in, one JSON line out.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path


def main(out: Path, number: int) -> None:
    """Answer each line {"arm": …, "seed": …} on stdin with {} or {"error": …} on stdout.

    What libraries print goes to stderr, from the import of torch on: the pipe is for answers.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        from training.bench import Bench

        bench = Bench(out, number)
        for line in sys.stdin:
            job = json.loads(line)
            try:
                bench.run(job["arm"], job["seed"])
                answer = {}
            except Exception:
                answer = {"error": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
