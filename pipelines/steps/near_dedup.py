"""Drop texts that are nearly the same as a kept one: MinHash-LSH, verified."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from pipelines.jaccard import distinct, jaccard
from pipelines.minhash import band_hashes, plan_bands, signatures
from pipelines.rows import Mask, Rows
from pipelines.steps.pairs import PairDedup, Positions, Similarities
from pipelines.steps.step import Chance
from pipelines.tokens import Tokens, UInt64, offsets_of, shingles_of


class NearDedup(PairDedup):
    """Drop texts whose word shingles overlap with those of a kept text: MinHash-LSH.

    Candidates share a band of their MinHash signatures; each is verified by the exact Jaccard
    similarity of the shingle sets, so nothing is dropped on a sketch alone. Texts joined by
    verified pairs form a cluster, of which one is kept: highest `prefer`, then longest, then
    smallest id. A text without words is similar to nothing; one of fewer words than a shingle is
    one shingle. Five shuffles: 28 bytes a band and row, the shingles of candidates, and in one
    place the pairs found (some 100 bytes a duplicate). Reason: `near_duplicate`, with the
    similarity to the row that is kept, or, in a chain, to the row it is `linked through`.
    """

    op: Literal["near_dedup"] = "near_dedup"
    needs: ClassVar[tuple[str, ...]] = ("text",)
    similarity: float = Field(default=0.8, gt=0, le=1)
    """Smallest Jaccard similarity of the shingle sets of two duplicates."""
    shingle: int = Field(default=5, ge=1, le=50)
    """Words a shingle."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Length of a MinHash signature; bands are planned from it and `similarity`."""

    def bands(self, rows: Rows, chance: Chance) -> tuple[UInt64, Mask]:
        """Return the band hashes of each text and which texts have words."""
        shingles = shingles_of(rows, self.shingle)
        signature = signatures(shingles, self.permutations, seed=chance.seed)
        bands, width = plan_bands(self.similarity, self.permutations)
        return band_hashes(signature, bands, width), shingles.counts > 0

    def evidence(self, rows: Rows) -> pa.Array:
        """Return the set of shingle hashes of each text."""
        sets = distinct(shingles_of(rows, self.shingle))
        return pa.LargeListArray.from_arrays(sets.offsets, sets.hashes)

    def similarities(self, evidence: pa.Array, left: Positions, right: Positions) -> Similarities:
        """Return the Jaccard similarity of pairs of texts."""
        hashes = evidence.flatten().to_numpy()
        sets = Tokens(hashes, offsets_of(evidence.value_lengths().to_numpy()))
        return jaccard(sets, left, right)
