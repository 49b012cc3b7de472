"""The `prove` section of a recipe: what is learnt, on which tests, and how much is measured."""

from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator

from curate.errors import shown
from pipelines.errors import UserError, did_you_mean
from pipelines.options import Options
from training.recipes import MODELS, Model, Profile, Task, recipe_for
from training.recipes import ModelRecipe as Training

TestName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Prove(Options):
    """How the worth of the curation is measured: training on raw against training on curated."""

    task: Task
    """What is learnt."""
    test: str = Field(min_length=1)
    """Held-out data no step sees. Relative to the folder where `curate` is called."""
    format: str | None = None
    """Format of the test data; guessed from the extension when left out."""
    tests: dict[TestName, str] = Field(default_factory=dict)
    """Further test data by name, such as `clean: data/clean.jsonl`; the gap is also told on each,
    and a verdict that hangs on the choice of the test says so."""
    validation: str | None = Field(default=None, min_length=1)
    """Data for early stopping and for the estimate shown meanwhile, drawn like the raw data; a
    twentieth of raw is held back from every arm when left out."""
    label: str | None = None
    """Label column; the one named in `read` when left out. language_modelling needs none: there it
    names a column of domains, whose mix is then compared."""
    text: str | None = None
    """Text column; the one named in `read` when left out."""
    image: str | None = None
    """Image column; the one named in `read` when left out."""
    oracle: str | None = None
    """Column of the raw data with the true labels, where they are known: how much perfect labels
    would be worth is then measured, too. No step may read it."""
    model: str | None = Field(default=None, validate_default=True)
    """What is trained: linear, textcnn, transformer or pretrained for text; cnn, features or
    finetune for images; ngram, gpt-bytes or gpt-bpe for language_modelling. The first of its task
    when left out."""
    profile: Profile = "cpu"
    """cpu takes minutes, gpu trains longer, smoke tries the plumbing and claims nothing."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """How it is trained, where not as usual: rate, batch, width, passes, precision, compile, …"""
    seeds: int = Field(default=5, ge=3)
    """Paired trainings per arm; fewer than 3 give no interval."""
    steps: int | None = Field(default=None, ge=1)
    """Training steps of every arm; chosen from the size of the data when left out."""
    smallest_effect: float | None = Field(default=None, gt=0, lt=1)
    """Smallest gain worth having, as a share for accuracy (0.01 is one point) or in bits per byte;
    the verdict is held against it. Chosen by the metric when left out."""
    sizes: int = Field(default=5, ge=0, le=10)
    """Points on the learning curve of raw and curated, each half as large as the next; 0 draws
    none."""
    rates: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 2.0)
    """Factors of the learning rate at which the gap is measured again; [] tries none."""
    also: tuple[Literal["augmented", "warm"], ...] = ()
    """Further ways to train raw and curated: `augmented` with stronger augmentation, `warm` on a
    pretrained model."""
    skip: tuple[Literal["rs2@n", "anti"], ...] = ()
    """Control arms to save the cost of: those that no claim hangs on."""
    attribution: bool = False
    """Also measure each step: the recipe without it, and it alone. Two runs of the recipe and up to
    four arms per step."""
    compress: bool = False
    """Also compress the trained model, and tell size, latency and quality."""
    processes: int = Field(default=1, ge=1)
    """Processes that share each training (one per GPU); what one process would find, up to
    rounding."""
    workers: int | None = Field(default=None, ge=1)
    """Trainings at a time; one per GPU, else one per core, when left out."""

    @field_validator("model")
    @classmethod
    def _of_the_task(cls, model: str | None, info: ValidationInfo) -> str | None:
        allowed = MODELS.get(info.data.get("task", ""), ())
        if model is not None and allowed and model not in allowed:
            near = did_you_mean(model, allowed)
            raise UserError(
                f"{info.data['task']} trains one of {', '.join(allowed)} (got {model!r}){near}"
            )
        return model

    @field_validator("sizes")
    @classmethod
    def _a_curve(cls, sizes: int) -> int:
        if sizes == 1:
            raise UserError("one point is no curve (got 1); give 2 to 10, or 0 for none")
        return sizes

    @field_validator("options")
    @classmethod
    def _trainable(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        fields = [name for name in Training.model_fields if name != "model"]
        for name in options:
            if name not in fields:
                near = did_you_mean(name, fields)
                raise UserError(f"has no {name!r}; allowed: {', '.join(fields)}{near}")
        task, model = info.data.get("task"), cast("Model | None", info.data.get("model"))
        if options and task:
            try:
                recipe_for(task, info.data.get("profile", "cpu"), model, options)
            except ValidationError as error:
                first = error.errors()[0]
                name = str(first["loc"][0])
                raise UserError(
                    f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]} "
                    f"(got {shown(options.get(name))})"
                ) from None
        return options

    @property
    def content(self) -> Literal["text", "image"]:
        """Return the role of the column that is learnt from."""
        return "image" if self.task == "image_classification" else "text"
