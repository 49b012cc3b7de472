"""Drop images that look the same as a kept one: perceptual hash, verified on thumbnails."""

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.maths.arrays import Floats, Int64, Mask, UInt64
from pipelines.maths.images.perceptual import hamming_pairs, phash, similarity, thumbnails
from pipelines.maths.sets.minhash import SortKeys
from pipelines.rows import ID, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.views import pixels
from pipelines.steps.dedup.pairs import PairDedup, Signatures

_BLOCK = 1 << 14
_HASH, _THUMBNAIL = "_phash", "_thumbnail"


class ImageNearDedup(PairDedup):
    """Drop images that look like a kept one: resized, re-encoded, slightly retouched copies.

    Candidates are all pairs whose 64-bit perceptual hashes (pHash) are within `distance` bits; of
    images with the same hash, one is compared with other hashes. Each pair is verified on small
    thumbnails. Images joined by verified pairs form a cluster. Its best image is kept, those
    similar to that are dropped, and so on with what is left (see `link`). All hashes meet in one
    place (28 bytes per image). Reason: `near_duplicate`, with the similarity to the image that is
    kept.
    """

    op: Literal["image_near_dedup"] = "image_near_dedup"
    needs: ClassVar[tuple[str, ...]] = ("image",)
    extra: ClassVar[str | None] = "image"
    imports: ClassVar[tuple[str, ...]] = ("cv2", "PIL")
    after_sign: ClassVar[tuple[str, ...]] = (*PairDedup.after_sign, "distance")
    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest similarity of the thumbnails of two duplicates, from 0 to 1."""
    distance: int = Field(default=10, ge=0, le=15)
    """Most bits in which the perceptual hashes of two candidates differ."""

    one_place: ClassVar[bool] = True

    def signature(self, rows: Rows, chance: Chance) -> tuple[Signatures, Mask]:
        """Return the perceptual hash of each image."""
        return self._hashes(rows)[:, None], np.ones(len(rows), dtype=np.bool_)

    def _hashes(self, rows: Rows) -> UInt64:
        if rows.are_earlier:
            stored: UInt64 = rows.column(_HASH).to_numpy()
            return stored
        return rows.view("phash", lambda r: phash(pixels(r).images))

    def bands(self, signature: Signatures) -> UInt64:
        """Return the perceptual hash of each image as its one band."""
        return signature.astype(np.uint64, copy=False)

    def candidates(self, hashes: UInt64, ranks: SortKeys) -> tuple[Int64, Int64, list[Int64]]:
        """Return the pairs of images whose hashes are close; equal hashes are joined once."""
        order = np.lexsort((*ranks, hashes))
        distinct, first = np.unique(hashes[order], return_index=True)
        left, right = hamming_pairs(distinct, self.distance)
        same_left, same_right, crowded = super().candidates(hashes, ranks)
        firsts = order[first]
        return (
            np.concatenate([firsts[left], same_left]),
            np.concatenate([firsts[right], same_right]),
            crowded,
        )

    def evidence(self, rows: Rows) -> pa.Array:
        """Return the thumbnail of each image."""
        if rows.are_earlier:
            return rows.column(_THUMBNAIL)
        thumbs = thumbnails(pixels(rows).images)
        return pa.FixedSizeListArray.from_arrays(pa.array(thumbs.ravel()), thumbs.shape[1])

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return id, perceptual hash and thumbnail of each image."""
        return pa.table({ID: rows.ids, _HASH: self._hashes(rows), _THUMBNAIL: self.evidence(rows)})

    def similarities(self, evidence: pa.Array, left: Int64, right: Int64) -> Floats:
        """Return the similarity of pairs of thumbnails."""
        thumbs = evidence.flatten().to_numpy().reshape(len(evidence), evidence.type.list_size)
        parts = [
            similarity(thumbs[left[i : i + _BLOCK]], thumbs[right[i : i + _BLOCK]])
            for i in range(0, len(left), _BLOCK)
        ]
        return np.concatenate(parts)
