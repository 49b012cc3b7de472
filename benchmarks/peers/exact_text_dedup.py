"""Exact duplicates by text-dedup's command `text_dedup.exact_hash` (xxh3).

python exact_text_dedup.py INPUT.parquet OUTPUT.txt
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from datasets import load_from_disk

with tempfile.TemporaryDirectory() as folder:
    done = Path(folder, "done")
    options = {
        "--path": "parquet",
        "--data_files": sys.argv[1],
        "--split": "train",
        "--cache_dir": f"{folder}/cache",
        "--output": str(done),
        "--column": "text",
        "--num_proc": "1",
        "--hash_func": "xxh3",
    }
    flat = [word for option in options.items() for word in option]
    subprocess.run([sys.executable, "-m", "text_dedup.exact_hash", *flat], check=True)
    ids = load_from_disk(str(done))["id"]
    Path(sys.argv[2]).write_text("".join(f"{row_id}\n" for row_id in ids))
