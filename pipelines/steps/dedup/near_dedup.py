"""Drop texts that are nearly the same as a kept one: MinHash-LSH, verified."""

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from pipelines.maths.arrays import Floats, Grid, Int64, Mask, UInt64
from pipelines.maths.sets.jaccard import (
    JaccardGrid,
    Sets,
    checked_sets,
    column_sets,
    distinct,
    jaccard,
    set_column,
)
from pipelines.maths.sets.minhash import band_hashes, plan_bands, signatures
from pipelines.maths.text.tokens import Tokens
from pipelines.rows import ID, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.views import character_shingles_of, shingles_of
from pipelines.steps.dedup.pairs import PairDedup, Signatures

_SHINGLE = {"word": 5, "char": 20}
_STORED = "_shingles"
_FINE = 2
"""Values of the signature per finer band."""


class NearDedup(PairDedup):
    """Drop texts whose shingles overlap with those of a kept text: MinHash-LSH.

    Candidates share a band of their MinHash signatures; each pair is verified by the Jaccard
    similarity of the shingle sets, so nothing is dropped because of a sketch alone. Texts joined by
    verified pairs form a cluster. Its best text is kept, the texts similar to that are dropped, and
    so on with what is left: each dropped text is similar to a kept one (see `link`). A text without
    words (or, for `unit: char`, without characters other than white space) is similar to nothing;
    one shorter than a shingle is one shingle. If more than 64 texts share a band, as those made
    from one template do, they are banded again more finely. Shuffles 28 bytes per band and row, and
    the shingles of candidates, 4 bytes each. The pairs found meet in one place, about 200 bytes per
    duplicate, or, from 256 shards on (16 GB of input), in partitions. Reason: `near_duplicate`,
    with the similarity to the row that is kept.
    """

    op: Literal["near_dedup"] = "near_dedup"
    needs: ClassVar[tuple[str, ...]] = ("text",)
    refines: ClassVar[bool] = True
    similarity: float = Field(default=0.8, gt=0, le=1)
    """Smallest Jaccard similarity of the shingle sets of two duplicates."""
    unit: Literal["word", "char"] = "word"
    """What shingles are made of: words, or characters (Unicode code points after case folding, with
    runs of white space made one space). Characters suit languages without spaces, code and noisy
    text."""
    shingle: int | None = Field(default=None, ge=1, le=100)
    """Words or characters per shingle; 5 words or 20 characters if not given."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Length of a MinHash signature; bands are planned from it and `similarity`."""

    def signature(self, rows: Rows, chance: Chance) -> tuple[Signatures, Mask]:
        """Return the MinHash signature of each text and which texts have shingles."""
        earlier = rows.are_earlier
        sets = column_sets(rows.column(_STORED)) if earlier else checked_sets(self._shingles(rows))
        return self._signatures(sets, chance), sets.counts > 0

    def bands(self, signature: Signatures) -> UInt64:
        """Return the band hashes of some signatures."""
        return band_hashes(signature, *plan_bands(self.similarity, self.permutations))

    def fine_bands(self, evidence: pa.Array, chance: Chance) -> UInt64:
        """Return hashes of the signature two values at a time."""
        signature = self._signatures(column_sets(evidence), chance)
        return band_hashes(signature, self.permutations // _FINE, _FINE)

    def evidence(self, rows: Rows) -> pa.Array:
        """Return the set of shingle hashes of each text."""
        if rows.are_earlier:
            return rows.column(_STORED)
        return set_column(distinct(self._shingles(rows)))

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return id and shingle hashes of each text: signatures follow from them."""
        return pa.table({ID: rows.ids, _STORED: self.evidence(rows)})

    def similarities(self, evidence: pa.Array, left: Int64, right: Int64) -> Floats:
        """Return the Jaccard similarity of pairs of texts."""
        return jaccard(column_sets(evidence), left, right)

    def grid(self, evidence: pa.Array) -> Grid:
        """Return the Jaccard similarities of texts as a sparse matrix product."""
        return JaccardGrid(column_sets(evidence))

    def _signatures(self, sets: Sets, chance: Chance) -> Signatures:
        return signatures(sets, self.permutations, seed=chance.seed)

    def _shingles(self, rows: Rows) -> Tokens:
        size = self.shingle or _SHINGLE[self.unit]
        return shingles_of(rows, size) if self.unit == "word" else character_shingles_of(rows, size)
