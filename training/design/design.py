"""The design of a proof: what was asked for, checked, and turned into a plan."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, get_args

from training.design.arms import Arm, Sources, choose_arms
from training.design.budgets import ONE_PASS, budget_bytes, windows_of
from training.design.plan import BUDGETS, ProofPlan, code_hash, trained_with
from training.errors import UserError
from training.metrics import ACCURACY, BITS
from training.pool.data import Pool
from training.pool.shards import is_held
from training.recipes import ModelRecipe, Profile, Task, recipe_for
from training.statistics.stats import check_seeds, detectable_before, prior_of

SMALLEST = {"language_modelling": 0.01}
"""Smallest effect that matters by default: bits per byte; else a share, so one point."""
EXTRA = ("augmented", "warm")
SKIPPABLE = ("rs2@n", "anti")
"""Control arms that no claim hangs on."""
AUGMENTED: dict[str, dict[str, Any]] = {
    "linear": {"dropout": 0.2},
    "textcnn": {"dropout": 0.6},
    "transformer": {"dropout": 0.5},
    "cnn": {"shift": 4, "flip": True},
    "finetune": {"shift": 4, "flip": True},
}
"""What stronger augmentation is, by model."""
WARM: dict[Task, str] = {"text_classification": "pretrained", "image_classification": "features"}

NEEDS: dict[str, tuple[str, ...]] = {
    "finetune": ("torch", "PIL"),
    "features": ("torch", "PIL"),
    "cnn": ("torch", "PIL"),
}
"""Modules that a model needs; torch alone where it stands nowhere."""


@dataclass(frozen=True)
class Asked:
    """The options of `prove` that shape the plan."""

    task: Task
    profile: Profile
    model: str | None
    options: dict[str, Any]
    smallest_effect: float | None
    seeds: int
    steps: int | None
    sizes: int
    rates: tuple[float, ...]
    processes: int
    workers: int | None
    also: tuple[str, ...]
    skip: tuple[str, ...]
    compress: bool
    trainer: str | None
    """Name of a trainer of one's own, which then trains instead of a bundled model."""

    @property
    def delta(self) -> float:
        """Return the smallest effect that matters."""
        given = self.smallest_effect
        return SMALLEST.get(self.task, 0.01) if given is None else given

    def check(self) -> None:
        """Raise ValueError for an option that can't be used."""
        for name, given, allowed in (
            ("task", self.task, get_args(Task)),
            ("profile", self.profile, get_args(Profile)),
            *(("also", extra, EXTRA) for extra in self.also),
            *(("skip", arm, SKIPPABLE) for arm in self.skip),
        ):
            if given not in allowed:
                raise UserError(f"{name}: {given!r} given; allowed: {', '.join(allowed)}")
        check_seeds(self.seeds)
        numbers = (("steps", self.steps), ("workers", self.workers), ("processes", self.processes))
        for name, number in numbers:
            if number is not None and number < 1:
                raise UserError(f"{name}: {number} given; give 1 or more, or leave it out")
        if self.sizes == 1 or not 0 <= self.sizes <= 10:
            raise UserError(
                f"sizes: {self.sizes} given; give 2 to 10 points, 5 are usual, or 0 for none"
            )
        if not 0 < self.delta < 1:
            raise UserError(
                f"smallest_effect: {self.delta} given; give a number between 0 and 1, such as 0.01 "
                "for one point of accuracy"
            )

    def recipes(self) -> dict[str, ModelRecipe]:
        """Return the recipes by the name that arms give them; the main one is "".

        Raises:
            UserError: a model or option that doesn't fit, or a package that isn't installed.
        """
        main = recipe_for(self.task, self.profile, self.model, self.options)
        found = {"": main}
        if "augmented" in self.also:
            if main.model not in AUGMENTED or self.trainer:
                raise UserError(
                    f"also: 'augmented' given; {self.trainer or main.model} has no augmentation to "
                    f"strengthen; allowed with {', '.join(AUGMENTED)}"
                )
            found["augmented"] = main.model_copy(update=AUGMENTED[main.model])
        if "warm" in self.also:
            if self.task not in WARM or self.trainer:
                raise UserError(
                    f"also: 'warm' given; no pretrained model stands ready for {self.task}"
                    f"{' with a trainer of your own' if self.trainer else ''}; leave it out"
                )
            found["warm"] = recipe_for(self.task, self.profile, WARM[self.task], {})
        for recipe in found.values() if self.trainer is None else ():
            self._check_recipe(recipe)
        return found

    def _check_recipe(self, recipe: ModelRecipe) -> None:
        if recipe.model == ONE_PASS:
            if self.compress:
                raise UserError(
                    "compress: the ngram model counts and has no weights to compress; leave it "
                    "out, or choose a gpt model"
                )
            return
        needed = NEEDS.get(recipe.model, ("torch",))
        needed += ("tokenizers",) if recipe.model == "gpt-bpe" else ()
        for module in needed:
            if find_spec(module) is None:
                raise UserError(
                    f"{self.task}: {module} is not installed; install curate-proof[prove]"
                )
        if recipe.model == "linear" and self.processes > 1:
            raise UserError(
                f"processes: {self.processes} given; the linear model's gradients are sparse and "
                "stay in one process; leave it out, or choose another model"
            )


def design(
    asked: Asked, pool: Pool, recipes: dict[str, ModelRecipe]
) -> tuple[ProofPlan, Sources, list[Arm]]:
    """Return the plan of a proof, and the arms with what they draw from."""
    own = asked.trainer is not None
    main = recipes[""]
    one_pass = main.model == ONE_PASS and not own
    datasets = {name: rows for name, rows in pool.rows.items() if not is_held(name)}
    sources = Sources(datasets, pool.copies, pool.sizes)
    arms, left_out = choose_arms(
        sources, also=asked.also, one_pass=one_pass, untraced=pool.untraced
    )
    for name in asked.skip:
        left_out.setdefault(name, "it was not asked for")
    arms = [arm for arm in arms if arm.name not in asked.skip]
    if asked.profile == "smoke":
        arms = [arm for arm in arms if arm.name in ("raw", "curated", "random@n", "aa")]
    names = [arm.name for arm in arms]
    full = asked.profile != "smoke"
    metric = (BITS if asked.task == "language_modelling" else ACCURACY).name
    steps = asked.steps or main.steps(examples_of(asked.task, main, pool, "raw"))
    if own:
        steps *= main.batch
    plan = ProofPlan(
        code=code_hash(),
        versions=trained_with(),
        task=asked.task,
        profile=asked.profile,
        model=asked.trainer or main.model,
        metric=metric,
        delta=asked.delta,
        arms=names,
        left_out=left_out,
        tests=pool.tests,
        seeds=list(range(asked.seeds)),
        shares=[0.5**k for k in range(1, asked.sizes)] if full else [],
        rates=[]
        if one_pass or own or not full
        else [r for r in dict.fromkeys(asked.rates) if r != 1],
        budgets=[] if one_pass or not full or asked.sizes == 0 else list(BUDGETS),
        steps=0 if one_pass else steps,
        steps_asked=asked.steps,
        budget_bytes=budget_bytes(sources, arms, list(range(asked.seeds))) if one_pass else None,
        recipes=recipes,
        processes=asked.processes,
        data=pool.hashes,
        rows={name: len(rows) for name, rows in pool.rows.items()},
        mde_before=detectable_before(asked.seeds, len(pool.rows["test"]), prior_of(metric)),
    )
    return plan, sources, arms


def examples_of(task: Task, recipe: ModelRecipe, pool: Pool, name: str) -> int:
    """Return the examples of one pass over a dataset: its rows, or windows of its text."""
    rows = pool.rows[name]
    if task != "language_modelling" or recipe.model == ONE_PASS:
        return len(rows)
    assert pool.sizes is not None
    return windows_of(rows, pool.sizes, recipe)
