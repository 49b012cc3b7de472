"""Learning-rate schedules: a warm-up to the peak, then a fall that ends at zero."""

import math

from training.recipes import ModelRecipe

COOLDOWN = 0.2
"""Share of the steps over which a trapezoid falls (Hägele et al. 2024 find 10 to 20 % enough)."""


def peak_share(recipe: ModelRecipe, step: int, steps: int) -> float:
    """Return the learning rate at `step` of `steps` as a share of the peak, in [0, 1].

    It rises linearly over the first `recipe.warmup` of the steps, then falls to the end: linearly,
    by half a cosine (Loshchilov & Hutter 2017), or flat and linearly over the last fifth
    (trapezoid). The first step is above zero, and zero is reached where step `steps` would be: no
    arm is caught half-trained, which would flatter the arm that gets by with fewer steps.
    """
    done = step / steps
    fallen = max(0.0, (done - recipe.warmup) / (1 - recipe.warmup))
    fall = {
        "linear": 1 - fallen,
        "cosine": (1 + math.cos(math.pi * fallen)) / 2,
        "trapezoid": (1 - done) / COOLDOWN,
    }[recipe.schedule]
    rise = (step + 1) / (recipe.warmup * steps) if recipe.warmup else 1.0
    return min(rise, fall, 1.0)
