"""Duplicates in CIFAR-10: what `image_near_dedup` finds, held against the pixels.

Barz & Denzler 2020, "Do we train on test data? Purging CIFAR of near-duplicates" (ciFAIR,
arXiv:1902.00423) list 286 test pictures with a duplicate among the training ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash

from benchmarks.validation_cifar import PICTURES
from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Finding, not_checkable
from pipelines.maths.arrays import Picture
from pipelines.maths.images.perceptual import hamming_pairs, phash, similarity, thumbnails
from pipelines.maths.images.pixels import decode_image
from pipelines.steps.dedup.image_near_dedup import ImageNearDedup

CIFAIR = "the 10,000 CIFAR-10 test pictures, and the pair list of the ciFAIR repository"
ALIKE = 0.985
"""Correlation of the grey pixels, halved to 16 × 16, from which two pictures are one photograph."""
GRID = 16
BLOCK = 2_000
SEEN = 50_000
"""Pictures of the whole set, of which pairs were looked at by eye."""
LOOKED_AT = (
    " Looked at by eye: 100 of our pairs drawn at random and all 20 that we miss show one "
    "photograph each; the missed ones have other colours or contrast. So what is joined is "
    "right, and **a good part of retouched copies is missed at the defaults: all 286 leaks cannot "
    "be expected**."
)

IntArray = npt.NDArray[np.int64]
Pairs = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class Copies:
    """Pairs of pictures by three tests."""

    identical: int
    alike: Pairs
    """All pairs whose grey pixels correlate by ALIKE or more."""
    ours: Pairs
    """What image_near_dedup joins at its default settings."""

    @property
    def both(self) -> int:
        """Return how many of the alike pairs are ours, too."""
        return len(set(zip(*self.alike, strict=True)) & set(zip(*self.ours, strict=True)))


def duplicates(settings: Settings) -> list[Finding]:
    """Say what cannot be checked, and count duplicates inside the training pictures."""
    claim = "ciFAIR: the 286 test pictures of CIFAR-10 with a copy in train are found"
    leaks = not_checkable("duplicates", claim, "Barz & Denzler 2020", "286", CIFAIR)
    claim = "Duplicates inside the 50,000 CIFAR-10 training pictures"
    if not settings.cifar10n.is_file():
        return [leaks, not_checkable("duplicates", claim, "no published number", "–", PICTURES)]
    images = pq.read_table(settings.cifar10n, columns=["image"])["image"]
    images = images[: settings.size(quick=300, full=len(images))].to_pylist()
    found = find_copies([decode_image(image) for image in images])
    rows = len(np.unique(found.ours[1]))
    alike = len(found.alike[0])
    recall = f"{found.both / alike:.0%}" if alike else "–"
    step = ImageNearDedup()
    return [
        leaks,
        Finding(
            check="duplicates",
            claim=claim,
            source="no published number",
            published="none used",
            ours=f"{len(found.ours[0]):,} pairs; of {alike:,} pairs whose pixels "
            f"correlate by {ALIKE:g}, {recall} are among them",
            agreement="not checkable",
            n=f"{len(images):,} pictures",
            says=(
                f"{found.identical:,} pictures have the very pixels of an earlier one (the file "
                "holds JPEGs, so copies differ by their compression). Of all pairs of pictures, "
                f"searched exhaustively, {alike:,} have grey pixels that correlate by {ALIKE:g} or "
                "more. `image_near_dedup` at its defaults (similarity "
                f"{step.similarity:g}, distance {step.distance}) joins {len(found.ours[0]):,} "
                f"pairs, {found.both:,} of those {alike:,} among them, and would drop at most "
                f"{rows:,} pictures.{LOOKED_AT if len(images) == SEEN else ''} No published count "
                "of duplicates inside train is used."
            ),
            figures={
                "identical": found.identical,
                "alike": alike,
                "ours": len(found.ours[0]),
                "both": found.both,
            },
        ),
    ]


def find_copies(pictures: list[Picture]) -> Copies:
    """Find the pairs of equally large pictures by pixels and as `image_near_dedup` does."""
    hashes = [xxhash.xxh3_128_hexdigest(picture.tobytes()) for picture in pictures]
    step, thumbs = ImageNearDedup(), thumbnails(pictures)
    left, right = hamming_pairs(phash(pictures), step.distance)
    near = similarity(thumbs[left], thumbs[right]) >= step.similarity
    return Copies(
        identical=len(hashes) - len(set(hashes)),
        alike=alike_pairs(np.stack(pictures)),
        ours=(left[near], right[near]),
    )


def alike_pairs(pixels: npt.NDArray[np.uint8]) -> Pairs:
    """Return all i < j whose grey pixels, averaged to 16 × 16, correlate by ALIKE or more.

    All n²/2 pairs by matrix products: 12 CPU-s for 50,000 pictures.
    """
    rows, height, width, _ = pixels.shape
    cells = pixels.reshape(rows, GRID, height // GRID, GRID, width // GRID, 3)
    grey = cells.mean(axis=(2, 4, 5), dtype=np.float32).reshape(rows, -1)
    grey -= grey.mean(axis=1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    grey /= np.where(length == 0, 1, length)
    found: list[Pairs] = []
    for start in range(0, rows, BLOCK):
        i, j = np.nonzero(grey[start : start + BLOCK] @ grey[start:].T >= ALIKE)
        found.append((i[i < j] + start, j[i < j] + start))
    return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])
