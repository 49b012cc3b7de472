"""Operators: the union of all steps is the registry.

A new operator of this project is added to BUILT_IN. A package of somebody else brings its own by an
entry point of the group `curate.steps`, one a step, that names the class.
"""

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from pipelines.steps.augment.augment_image import AugmentImage
from pipelines.steps.augment.augment_text import AugmentText
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
from pipelines.steps.step import Step
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


def _registered() -> dict[str, type[Step]]:
    """Return all operators by name: ours, then those of installed packages.

    Raises:
        TypeError: an entry point names something that is no step, or a name that is taken.
    """
    found = {str(step.model_fields["op"].default): step for step in BUILT_IN}
    for point in entry_points(group=GROUP):
        step = point.load()
        if not (isinstance(step, type) and issubclass(step, Step)):
            raise TypeError(f"entry point {point.name} of {GROUP}: {point.value} is no Step")
        op = str(step.model_fields["op"].default)
        if op in found:
            raise TypeError(f"entry point {point.name} of {GROUP}: the op {op!r} is taken")
        found[op] = step
    return found


STEPS: dict[str, type[Step]] = _registered()
"""Every operator by name."""

if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep: Any = Annotated[Union[tuple(STEPS.values())], Field(discriminator="op")]  # noqa: UP007
    """One entry of a recipe's `steps`; `op` says which of the models it is."""

__all__ = ["BUILT_IN", "GROUP", "STEPS", "AnyStep"]
