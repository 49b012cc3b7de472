"""Near-duplicates by datatrove's four MinHash stages, wired as in its examples.

    python near_datatrove.py INPUT.parquet OUTPUT.txt

128 hashes in 16 buckets of 8, 5-word shingles, one task at a time; nothing is verified.
Differences: numbers become 0, punctuation is dropped, words come from its own tokenizer, and texts
of fewer than five words have no shingle and are kept.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter

BUCKETS, WIDTH = 16, 8


def main(corpus: Path, output: Path, folder: str) -> None:
    """Run the stages one after the other."""
    config = MinhashConfig(n_grams=5, num_buckets=BUCKETS, hashes_per_bucket=WIDTH)
    reader = ParquetReader(str(corpus.parent), glob_pattern=corpus.name)
    stages = (
        (1, [reader, MinhashDedupSignature(f"{folder}/signatures", config=config)]),
        (
            BUCKETS,
            [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
        ),
        (1, [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)]),
        (1, [reader, MinhashDedupFilter(f"{folder}/remove"), JsonlWriter(f"{folder}/kept")]),
    )
    for number, (tasks, pipeline) in enumerate(stages):
        logs = f"{folder}/logs/{number}"
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
    with output.open("w") as ids:
        for file in sorted(Path(folder, "kept").glob("*.jsonl.gz")):
            with gzip.open(file, "rt") as lines:
                ids.writelines(f"{json.loads(line)['id']}\n" for line in lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(sys.argv[2]), scratch)
