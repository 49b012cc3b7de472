"""Operators: the union of all steps is the registry.

A new operator of this project is added to BUILT_IN. A package of somebody else brings its own: one
entry point per step, in the group `curate.steps`, names the class.
"""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from pipelines.errors import UserError
from pipelines.options import registered
from pipelines.steps.augment.augment_image import AugmentImage
from pipelines.steps.augment.augment_text import AugmentText
from pipelines.steps.corpus import Corpus
from pipelines.steps.dedup.exact_dedup import ExactDedup
from pipelines.steps.dedup.image_near_dedup import ImageNearDedup
from pipelines.steps.dedup.line_dedup import LineDedup
from pipelines.steps.dedup.near_dedup import NearDedup
from pipelines.steps.dedup.semantic_dedup import SemanticDedup
from pipelines.steps.dedup.substring_dedup import SubstringDedup
from pipelines.steps.images.image_check import ImageCheck
from pipelines.steps.labels.label_errors import DropLabelErrors
from pipelines.steps.rows.columns import DropColumns
from pipelines.steps.rows.split import Split
from pipelines.steps.select.cluster_sample import ClusterSample
from pipelines.steps.select.dsir import Dsir
from pipelines.steps.select.k_center import KCenter
from pipelines.steps.select.mix import Mix
from pipelines.steps.select.prune_prototypes import PrunePrototypes
from pipelines.steps.select.sample import Sample
from pipelines.steps.select.select_top import SelectTop
from pipelines.steps.step import Derive, Filter, Map, Step
from pipelines.steps.text.language import Language
from pipelines.steps.text.lengths import CharCount, WordCount
from pipelines.steps.text.normalize import NormalizeText
from pipelines.steps.vectors.embed import Embed

GROUP = "curate.steps"
"""Entry-point group of operators that other packages bring."""

BUILT_IN: tuple[type[Step], ...] = (
    NormalizeText,
    WordCount,
    CharCount,
    Language,
    ImageCheck,
    ExactDedup,
    NearDedup,
    LineDedup,
    SubstringDedup,
    ImageNearDedup,
    Embed,
    SemanticDedup,
    ClusterSample,
    PrunePrototypes,
    KCenter,
    DropLabelErrors,
    Sample,
    SelectTop,
    Mix,
    Dsir,
    Split,
    DropColumns,
    AugmentText,
    AugmentImage,
)


STEPS: dict[str, type[Step]] = registered(Step, "op", BUILT_IN, GROUP)
"""Every operator by name."""

for _step in STEPS.values():
    if not issubclass(_step, Map | Filter | Derive | Corpus):
        raise UserError(f"{_step.__name__} is no Map, Filter, Derive or Corpus: make it one")

if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep: Any = Annotated[Union[tuple(STEPS.values())], Field(discriminator="op")]  # noqa: UP007
    """One entry of a recipe's `steps`; `op` says which of the models it is."""

__all__ = ["BUILT_IN", "GROUP", "STEPS", "AnyStep"]
