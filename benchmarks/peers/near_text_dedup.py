"""Near-duplicates by text-dedup's command `text_dedup.minhash`.

    python near_text_dedup.py INPUT.parquet OUTPUT.txt

128 permutations, 16 bands of 8, 5-word shingles, one process; nothing is verified. `--min_length 1`
switches off a length filter: by default texts of fewer than five words are dropped unseen.
Difference: it splits the lower-cased text at every non-word character, so that two of them in a row
make an empty word.
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
        "--ngram": "5",
        "--min_length": "1",
        "--num_perm": "128",
        "--b": "16",
        "--r": "8",
        "--hash_func": "xxh3",
    }
    flat = [word for option in options.items() for word in option]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", *flat], check=True)
    ids = load_from_disk(str(done))["id"]
    Path(sys.argv[2]).write_text("".join(f"{row_id}\n" for row_id in ids))
