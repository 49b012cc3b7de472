"""Documents that installed packages bring along, and what of a text never stood before."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

NAMES = re.compile(
    r"(authors|copying|copyright|faq|licen[cs]e|metadata|news|notice|readme|thanks|todo)", re.I
)
"""Files that accompany a package and are written by people."""
OURS = "curate_proof"
"""Our own read-me changes from commit to commit."""
LONGEST = 256_000
"""Bytes of a document; the few longer ones would outweigh all others in bits per byte."""
SHINGLE, SEEN = 8, 0.2
"""A paragraph is new if at most this share of its runs of 8 words stood anywhere before."""


def package_documents(system: Path, site: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (package, path, text) of the documents of each installed package.

    Args:
        system: where the operating system keeps them, a folder for each package.
        site: where wheels are installed.
    """
    for root, pattern in ((system, "*"), (site, "*.dist-info")):
        for folder in sorted(root.glob(pattern)):
            if folder.is_symlink() or folder.name.startswith(OURS):
                continue
            for path in sorted(folder.rglob("*")):
                if NAMES.match(path.name) and path.is_file() and not path.is_symlink():
                    data = path.read_bytes()
                    data = gzip.decompress(data) if path.suffix == ".gz" else data
                    if 0 < len(data) <= LONGEST and b"\0" not in data:
                        text = data.decode("utf-8", errors="replace")
                        yield folder.name, f"{root.name}/{path.relative_to(root)}", text


def new_paragraphs(texts: Sequence[str], seen: set[int]) -> list[str]:
    """Return each text with the paragraphs of which little stood before; `seen` grows.

    What is left is text that no copy of it, in train or earlier in the test, gives away.
    """
    left = []
    for text in texts:
        kept = []
        for paragraph in re.split(r"\n\s*\n", text):
            runs = word_runs(paragraph)
            if sum(run in seen for run in runs) <= SEEN * len(runs):
                kept.append(paragraph)
            seen |= runs
        left.append("\n\n".join(kept))
    return left


def word_runs(text: str) -> set[int]:
    """Return hashes of the runs of 8 words, the whole text where it is shorter."""
    words = text.casefold().split()
    starts = range(max(1, len(words) - SHINGLE + 1))
    return {xxhash.xxh3_64_intdigest(" ".join(words[i : i + SHINGLE]).encode()) for i in starts}
