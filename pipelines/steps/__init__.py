"""Operators: the union of all steps is the registry; a new one is added to it by name."""

from typing import Annotated, get_args

from pydantic import Field

from pipelines.steps.augment_image import AugmentImage
from pipelines.steps.augment_text import AugmentText
from pipelines.steps.embed import Embed
from pipelines.steps.exact_dedup import ExactDedup
from pipelines.steps.image_check import ImageCheck
from pipelines.steps.image_near_dedup import ImageNearDedup
from pipelines.steps.label_errors import DropLabelErrors
from pipelines.steps.language import Language
from pipelines.steps.lengths import CharCount, WordCount
from pipelines.steps.near_dedup import NearDedup
from pipelines.steps.normalize import NormalizeText
from pipelines.steps.sample import Sample
from pipelines.steps.semantic_dedup import SemanticDedup
from pipelines.steps.split import Split
from pipelines.steps.step import Step

AnyStep = Annotated[
    NormalizeText
    | WordCount
    | CharCount
    | Language
    | ImageCheck
    | ExactDedup
    | NearDedup
    | ImageNearDedup
    | Embed
    | SemanticDedup
    | DropLabelErrors
    | Sample
    | Split
    | AugmentText
    | AugmentImage,
    Field(discriminator="op"),
]
"""One entry of a recipe's `steps`; `op` says which of the models it is."""

STEPS: dict[str, type[Step]] = {
    step.model_fields["op"].default: step for step in get_args(get_args(AnyStep)[0])
}
"""Every operator by name."""

__all__ = ["STEPS", "AnyStep"]
