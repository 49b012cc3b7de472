"""Exact or near-duplicates by Data-Juicer's command `dj-process`.

    python data_juicer.py near|exact INPUT.parquet OUTPUT.txt

`near`: 128 permutations, 16 bands of 8, 5-word shingles, lower case, one process; nothing is
verified. Differences: words are split at white space, with their punctuation, and a text of fewer
than five words has no shingle, so that all such texts are one cluster. `exact`: MD5 of the text.
Data-Juicer installs packages while it runs; the environment of the benchmark holds them already.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = """\
project_name: benchmark
dataset_path: {corpus}
export_path: {out}
np: 1
text_keys: text
process:
{step}
"""
STEPS = {
    "exact": "  - document_deduplicator: {lowercase: false}",
    "near": "  - document_minhash_deduplicator: {tokenization: space, window_size: 5, "
    "lowercase: true, num_permutations: 128, num_bands: 16, num_rows_per_band: 8}",
}

kind, corpus, output = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    out, recipe = Path(folder, "out", "kept.jsonl"), Path(folder, "recipe.yaml")
    recipe.write_text(RECIPE.format(corpus=corpus, out=out, step=STEPS[kind]))
    command = Path(sys.executable).with_name("dj-process")
    subprocess.run([str(command), "--config", str(recipe)], check=True)
    with out.open() as lines, Path(output).open("w") as ids:
        ids.writelines(f"{json.loads(line)['id']}\n" for line in lines)
