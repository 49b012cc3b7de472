"""Exact duplicates by datatrove's three stages of exact deduplication.

python exact_datatrove.py INPUT.parquet OUTPUT.txt
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import ExactDedupFilter, ExactDedupSignature, ExactFindDedups
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter


def content(document: Document) -> str:
    """Return what makes two documents equal."""
    return document.text


def main(corpus: Path, output: Path, folder: str) -> None:
    """Run the stages one after the other."""
    config = ExactDedupConfig(content_getter=content)
    reader = ParquetReader(str(corpus.parent), glob_pattern=corpus.name)
    stages = (
        [reader, ExactDedupSignature(f"{folder}/signatures", config=config)],
        [ExactFindDedups(f"{folder}/signatures", f"{folder}/remove", config=config)],
        [
            reader,
            ExactDedupFilter(f"{folder}/remove", config=config),
            JsonlWriter(f"{folder}/kept"),
        ],
    )
    for number, pipeline in enumerate(stages):
        logs = f"{folder}/logs/{number}"
        LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=logs).run()
    with output.open("w") as ids:
        for file in sorted(Path(folder, "kept").glob("*.jsonl.gz")):
            with gzip.open(file, "rt") as lines:
                ids.writelines(f"{json.loads(line)['id']}\n" for line in lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(sys.argv[2]), scratch)
