"""The ways in which a trained model is made smaller, before any is measured."""

from collections.abc import Sequence

import torch
from torch import nn

from training.compression.buckets import bucket_use, keep_buckets
from training.compression.distil import Folded, distil
from training.compression.int8 import compute_int8, store_int8
from training.compression.latency import macs, parameters
from training.compression.lowrank import low_rank, ranks_for, spectra
from training.compression.prune import prune, usable_groups
from training.compression.surgery import Inputs
from training.compression.trained import Candidate, CompressionBudget, Trained, device_of, inputs_of
from training.loop.examples import Examples
from training.loop.fit import fit
from training.recipes import ModelRecipe

BATCH = 32
"""Examples of the larger batch that is timed and counted."""
CALIBRATION = 256
"""Training examples on which outputs are looked at."""
MOST_READ = 2_048
"""Training examples in which look-ups of hash buckets are counted."""
ENERGY = (0.99, 0.9)
CHANNELS = (0.75, 0.5)
BUCKETS = (0.25, 0.0625)
NARROWER, FEWER_BUCKETS = 2, 8
FINE_TUNE_RATE = 0.3
"""Of the recipe's learning rate."""


class Ways:
    """Makes the candidates; what cannot be made is noted with the reason."""

    def __init__(self, trained: Trained, inputs: Inputs, budget: CompressionBudget) -> None:
        self.trained, self.inputs, self.budget = trained, inputs, budget
        self.recipe = trained.recipe.model_copy(update={"patience": None, "compile": False})
        self.left_out: dict[str, str] = {}
        self.first = trained.models[0]
        self.macs = macs(self.first, inputs, BATCH)
        self.seen = [
            inputs_of(train, CALIBRATION, device_of(trained), seed=seed)
            for train, seed in zip(trained.train, trained.seeds, strict=True)
        ]

    def steps(self, share: float, flops: int) -> int:
        """Return how many steps of so many FLOPs a share of the uncompressed run pays for."""
        paid = share * self.trained.steps * self.step_flops(self.macs) / flops
        return max(1, min(self.trained.steps, int(paid)))

    def step_flops(self, macs: int, teacher: int = 0) -> int:
        """Return the FLOPs of a training step: three forward passes, and one of a teacher."""
        return 2 * self.recipe.batch * (3 * macs + teacher)

    def int8(self) -> list[Candidate]:
        """Return int8 in the file, and int8 products in linear layers as well."""
        stored = [store_int8(model) for model in self.trained.models]
        points = [
            Candidate(
                "int8 file",
                "Weights saved as int8 with a scale for each channel or row and turned back into "
                "float32 on loading: a smaller file, the same computation.",
                [model for model, _ in stored],
                self.macs,
                stored[0][1],
            )
        ]
        if not any(type(layer) is nn.Linear for layer in self.first.modules()):
            self.left_out["int8 products"] = "the model has no linear layer"
        elif device_of(self.trained).type != "cpu":
            self.left_out["int8 products"] = "measured on a CPU only"
        else:
            computed = [compute_int8(model) for model in self.trained.models]
            how = "Linear layers multiply in int8, inputs rounded on the fly; the rest as int8 file"
            if any(isinstance(layer, nn.Conv1d | nn.Conv2d) for layer in self.first.modules()):
                how += ": convolutions stay in float32"
            models = [model for model, _ in computed]
            points.append(Candidate("int8 products", how + ".", models, self.macs, computed[0][1]))
        return points

    def low_rank(self) -> list[Candidate]:
        """Return low-rank layers, one point for each energy that changes something."""
        found = [
            spectra(model, [seen])
            for model, seen in zip(self.trained.models, self.seen, strict=True)
        ]
        points, before = [], None
        for energy in ENERGY:
            ranks = ranks_for(self.first, found[0], energy)
            name = f"low rank {energy:g}"
            if not ranks or ranks == before:
                self.left_out[name] = "no layer gets smaller by it"
                continue
            before = ranks
            pairs = zip(self.trained.models, found, strict=True)
            models = [low_rank(model, spectrum, ranks) for model, spectrum in pairs]
            how = (
                f"{_layers(len(ranks))} as two thin ones that keep {100 * energy:g} % of the "
                "variance of their outputs on training data; nothing is trained."
            )
            points.append(Candidate(name, how, models, macs(models[0], self.inputs, BATCH)))
        return points

    def channels(self) -> list[Candidate]:
        """Return models with channels taken out and fine-tuned."""
        few = inputs_of(self.trained.test, 2, device_of(self.trained))
        groups = usable_groups(self.first, few)
        if not groups:
            self.left_out["channels"] = "no layer's channels can be taken out alone"
            return []
        points = []
        for keep in CHANNELS:
            models = [prune(model, groups, keep) for model in self.trained.models]
            each = macs(models[0], self.inputs, BATCH)
            steps = self.steps(self.budget.fine_tune, self.step_flops(each))
            for model, train, seed in self._by_seed(models):
                fit(model, train, recipe=self.recipe, steps=steps, seed=seed, rate=FINE_TUNE_RATE)
            how = (
                f"The {100 * keep:g} % of channels with the largest weights in "
                f"{_layers(len(groups))}, fine-tuned for {steps:,} steps."
            )
            flops = steps * self.step_flops(each)
            points.append(
                Candidate(f"{100 * keep:g} % of channels", how, models, each, extra_flops=flops)
            )
        return points

    def buckets(self) -> list[Candidate]:
        """Return hash tables of words with fewer rows."""
        use = [
            bucket_use(model, self._parts(train, seed))
            for model, train, seed in self._by_seed(self.trained.models)
        ]
        if not use[0]:
            return []
        points = []
        for share in BUCKETS:
            pairs = zip(self.trained.models, use, strict=True)
            models = [keep_buckets(model, used, share) for model, used in pairs]
            how = (
                f"The {100 * share:g} % of hash buckets of words that matter most on training "
                "texts; nothing is trained."
            )
            each = macs(models[0], self.inputs, BATCH)
            points.append(Candidate(f"{100 * share:g} % of buckets", how, models, each))
        return points

    def _parts(self, train: Examples, seed: int) -> list[Inputs]:
        parts = range(MOST_READ // CALIBRATION)
        device = device_of(self.trained)
        return [inputs_of(train, CALIBRATION, device, seed, part) for part in parts]

    def students(self) -> list[Candidate]:
        """Return a narrower student, taught by the model and on labels alone, at equal FLOPs.

        The teacher's forward passes are charged, its own training is not: it is there already.
        """
        bag = isinstance(self.first, nn.EmbeddingBag)
        width = self.recipe.width // (FEWER_BUCKETS if bag else NARROWER)
        narrow = self.recipe.model_copy(update={"width": width})
        try:
            built = self._student(narrow, self.trained.seeds[0])
        except ValueError as error:  # a width that the model cannot have
            self.left_out["student"] = f"width {width}: {error}"
            return []
        if parameters(built) >= parameters(self.first):
            self.left_out["student"] = "the recipe has no width that makes a smaller model"
            return []
        each = macs(built, self.inputs, BATCH)
        cost = self.step_flops(each, teacher=self.macs)
        steps = self.steps(self.budget.student, cost)
        alone = max(1, round(steps * cost / self.step_flops(each)))
        what = f"{width:,} of {self.recipe.width:,} buckets" if bag else f"width {width}"
        taught, untaught = (
            [self._student(narrow, seed) for seed in self.trained.seeds] for _ in range(2)
        )
        for place, (student, train, seed) in enumerate(self._by_seed(taught)):
            teacher = self.trained.models[place]
            distil(student, teacher, train, recipe=narrow, steps=steps, seed=seed)
        for student, train, seed in self._by_seed(untaught):
            fit(student, train, recipe=narrow, steps=alone, seed=seed)
        return [
            Candidate(
                "distilled",
                f"A new model of {what}, {steps:,} steps on labels and the model's answers.",
                taught,
                each,
                extra_flops=steps * cost,
            ),
            Candidate(
                "same on labels",
                f"The same new model, {alone:,} steps on labels alone: as many FLOPs in all.",
                untaught,
                each,
                extra_flops=alone * self.step_flops(each),
            ),
        ]

    def _student(self, recipe: ModelRecipe, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        student = self.trained.build(recipe)
        if isinstance(student, nn.EmbeddingBag):
            student = Folded(student)
        return student.to(device_of(self.trained))

    def _by_seed(self, models: Sequence[nn.Module]) -> list[tuple[nn.Module, Examples, int]]:
        return list(zip(models, self.trained.train, self.trained.seeds, strict=True))


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"
