"""How every arm is trained: one frozen recipe, the same for all."""

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.errors import UserError

Task = Literal["text_classification", "image_classification", "language_modelling"]
Profile = Literal["smoke", "cpu", "gpu"]
Model = Literal[
    "linear", "textcnn", "transformer", "pretrained",  # text
    "cnn", "features", "finetune",  # images
    "ngram", "gpt-bytes", "gpt-bpe",  # language
]  # fmt: skip


class ModelRecipe(BaseModel):
    """Model, optimizer, schedule and budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model
    width: int
    """Hash buckets of `linear`; channels of the first layer of `cnn`; else the model dimension."""
    depth: int = 0
    """Layers of a transformer; order of `ngram`."""
    vocabulary: int = Field(default=2_048, ge=256, lt=2**16)
    """Tokens of a byte-pair model."""
    context: int = 0
    """Tokens a model of sequences sees at once."""
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    rate: float
    """Peak learning rate."""
    momentum: float = 0.0
    """Of SGD; the first moment of AdamW and the momentum of Muon, where 0 means 0.9 and 0.95."""
    weight_decay: float = 0.0
    schedule: Literal["linear", "cosine", "trapezoid"] = "linear"
    """Each ends at zero; trapezoid stays at the peak until the last fifth of the steps."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises."""
    clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches whose gradients make one step; the result is that of one batch."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast on CUDA, else fp32."""
    compile: bool = False
    """Compile the model with torch.compile."""
    patience: int | None = Field(default=None, ge=1)
    """Stop early after so many evaluations on validation without a better loss; None: never."""
    shift: int = 0
    """Pixels by which training images are shifted at random."""
    flip: bool = False
    """Mirror training images at random; grey ones never."""
    side: int = 32
    """Pixels of an image's side, at most; larger ones are made smaller."""
    encoder: str = ""
    """Pretrained encoder: minilm, efficientnet-lite0 or the folder of a model2vec model."""
    start: Literal["pretrained", "scratch"] = "pretrained"
    """Where `finetune` starts from."""
    dropout: float = 0.0
    batch: int = Field(ge=1)
    """Examples of an optimizer step."""
    passes: int
    """Passes over raw that set the number of steps, within `least_steps` and `most_steps`."""
    least_steps: int
    most_steps: int

    @property
    def hash(self) -> str:
        """Return a short digest of every field."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def steps(self, examples: int) -> int:
        """Return the optimizer steps of every arm, from the examples of one pass over raw."""
        wanted = round(self.passes * examples / self.batch)
        return max(self.least_steps, min(wanted, self.most_steps))


# Chosen on raw arms alone, never on a gap. Text: within about two points of the best setting tried
# on four public sets, with their own labels and with 30 % wrong ones (more passes memorise the
# wrong ones). Images: as many passes as two cores make in a minute on 5,000 small pictures.
RECIPES: dict[Model, ModelRecipe] = {
    "linear": ModelRecipe(
        model="linear", width=2**17, rate=30.0,
        batch=128, passes=16, least_steps=300, most_steps=8_000,
    ),
    "textcnn": ModelRecipe(
        model="textcnn", width=64, context=256, optimizer="adamw", rate=5e-3, weight_decay=0.01,
        clip=1.0, dropout=0.5, batch=32, passes=6, least_steps=1_000, most_steps=4_000,
    ),
    "transformer": ModelRecipe(
        model="transformer", width=64, depth=1, context=128, optimizer="adamw", rate=2.5e-3,
        weight_decay=0.01, clip=1.0, dropout=0.4,
        batch=32, passes=6, least_steps=1_000, most_steps=4_000,
    ),
    "pretrained": ModelRecipe(
        model="pretrained", width=0, encoder="minilm", context=128, optimizer="adamw", rate=5e-3,
        weight_decay=0.1, batch=128, passes=16, least_steps=300, most_steps=4_000,
    ),
    "features": ModelRecipe(
        model="features", width=0, encoder="efficientnet-lite0", side=96, optimizer="adamw",
        rate=1e-3, weight_decay=0.1, batch=128, passes=16, least_steps=300, most_steps=4_000,
    ),
    "finetune": ModelRecipe(
        model="finetune", width=0, encoder="efficientnet-lite0", side=64, optimizer="adamw",
        rate=1e-3, weight_decay=0.01, clip=1.0, shift=2, flip=True,
        batch=32, passes=4, least_steps=200, most_steps=1_000,
    ),
    "cnn": ModelRecipe(
        model="cnn", width=16, rate=0.05, momentum=0.9, weight_decay=5e-4, shift=2, flip=True,
        batch=64, passes=12, least_steps=400, most_steps=2_000,
    ),
    # Order 7 fits any bytes; on raw text of four kinds, 0.1 to 8 MB, it is at most 0.08 bits per
    # byte behind the best of orders 3 to 8 and never behind order 6 by more than 0.002.
    "ngram": ModelRecipe(
        model="ngram", width=0, depth=7, rate=0.0,
        batch=1, passes=1, least_steps=1, most_steps=1,
    ),
    # The most steps are about a minute of one core (1.2 million tokens). Optimizer, rate and batch
    # by bits per byte of held-out raw novels and web pages, depth and schedule by novels alone; one
    # seed each, with bytes. gpt-bpe takes them over untuned.
    "gpt-bytes": ModelRecipe(
        model="gpt-bytes", width=64, depth=3, context=128, optimizer="muon", rate=1e-2,
        schedule="trapezoid", warmup=0.05, clip=1.0, weight_decay=0.1,
        batch=8, passes=4, least_steps=300, most_steps=1_200,
    ),
    "gpt-bpe": ModelRecipe(
        model="gpt-bpe", width=64, depth=3, context=128, optimizer="muon", rate=1e-2,
        schedule="trapezoid", warmup=0.05, clip=1.0, weight_decay=0.1,
        batch=8, passes=4, least_steps=300, most_steps=1_200,
    ),
}  # fmt: skip

MODELS: dict[Task, tuple[Model, ...]] = {
    "text_classification": ("linear", "textcnn", "transformer", "pretrained"),
    "image_classification": ("cnn", "features", "finetune"),
    "language_modelling": ("ngram", "gpt-bytes", "gpt-bpe"),
}
"""Models of each task; the first is the default."""


def recipe_for(
    task: Task, profile: Profile, model: str | None, change: dict[str, Any]
) -> ModelRecipe:
    """Return the bundled recipe; `gpu` is wider and longer, `smoke` far too short.

    Raises:
        UserError: the model does not belong to the task.
    """
    chosen = next((name for name in MODELS[task] if model in (None, name)), None)
    if chosen is None:
        raise UserError(f"model: {model!r} given; {task} allows {', '.join(MODELS[task])}")
    recipe = RECIPES[chosen]
    if profile == "smoke":
        change = {"least_steps": 50, "most_steps": 50} | change
    if profile == "gpu":
        wider = {"width": 64, "passes": 32} if chosen == "cnn" else {}
        change = {"most_steps": 40_000} | wider | change
    return ModelRecipe.model_validate(recipe.model_dump() | change)
