"""Which steps of a recipe earned their keep: leave one out, keep one only, each with its twin."""

from collections.abc import Callable, Mapping
from typing import Literal

from training.arrays import FloatArray
from training.design.arms import AS_MANY, ATTRIBUTION
from training.metrics import Metric
from training.result.result import Gap, StepWorth
from training.statistics.stats import Estimate, equivalence_p, estimate, holm

Tables = Mapping[str, FloatArray]
Verdict = Literal["earns its keep", "not shown to matter", "can go", "harms"]
ALPHA = 0.05


def is_attribution(gap: str) -> bool:
    """Tell whether a comparison, such as "only:2.x − raw", is about attribution."""
    return ATTRIBUTION.fullmatch(gap.split(" − ")[0]) is not None


def worth_of_steps(
    tables: Tables,
    delta: float,
    dropped: Mapping[str, int],
    metric: Metric,
    measure: Callable[[FloatArray], Estimate] = estimate,
) -> list[StepWorth]:
    """Judge each step from the arms `without:<step>` and `only:<step>` and their random twins.

    A step earns its keep if leaving it out costs quality, and not only as much as the random twins
    of both sizes differ by; it harms if leaving it out gains some; it can go if both are ruled out
    beyond `delta`. p-values are Holm-adjusted over the steps.
    """
    matches = [ATTRIBUTION.fullmatch(arm) for arm in tables]
    steps = list(dict.fromkeys(match[3] for match in matches if match))
    found = {step: _comparisons(tables, step, measure) for step in steps}
    deciding = {step: _deciding(kinds) for step, kinds in found.items()}
    adjusted = dict(zip(steps, holm([value.p_t for value in deciding.values()]), strict=True))
    return [
        _step(step, found[step], deciding[step], adjusted[step], delta, dropped.get(step), metric)
        for step in steps
    ]


def _comparisons(
    tables: Tables, step: str, measure: Callable[[FloatArray], Estimate]
) -> dict[str, Estimate]:
    """Return the differences about one step, those whose arms are there."""
    raw, curated = tables["raw"], tables["curated"]
    without, only = tables.get(f"without:{step}"), tables.get(f"only:{step}")
    without_twin = tables.get(f"{AS_MANY}without:{step}")
    only_twin = tables.get(f"{AS_MANY}only:{step}")
    # Without a smaller random set (curated is no smaller than raw) raw itself is the twin.
    curated_twin = tables.get("random@n", raw)
    found = {}
    if without is not None:
        found["without"] = measure(curated - without)
        if without_twin is not None:
            found["without_net"] = measure((curated - curated_twin) - (without - without_twin))
    if only is not None:
        found["only"] = measure(only - raw)
        if only_twin is not None:
            found["only_net"] = measure(only - only_twin)
    return found


def _deciding(found: Mapping[str, Estimate]) -> Estimate:
    return next(found[kind] for kind in ("without", "only_net", "only") if kind in found)


def _step(
    step: str,
    found: Mapping[str, Estimate],
    deciding: Estimate,
    p: float,
    delta: float,
    dropped: int | None,
    metric: Metric,
) -> StepWorth:
    verdict = _verdict(deciding, p, delta)
    net = found.get("without_net")
    by_size = verdict == "earns its keep" and net is not None and net.interval()[0] <= 0
    verdict = "not shown to matter" if by_size else verdict
    kind = next(kind for kind, value in found.items() if value is deciding)
    how = {
        "without": "Leaving it out changes",
        "only": "Alone, against raw, it changes",
        "only_net": "Alone, against as many random rows, it changes",
    }[kind]
    shown = -deciding.mean if kind.startswith("without") else deciding.mean
    ends = deciding.interval()
    interval = (-ends[1], -ends[0]) if kind.startswith("without") else ends
    ending = {
        "earns its keep": "it earns its keep",
        "harms": "remove it",
        "can go": f"worth less than {metric.gap(delta, sign=False)}: it can go",
        "not shown to matter": "explained by size" if by_size else "not shown to matter",
    }[verdict]
    says = (
        f"{how} {metric.name} by {metric.gap(shown)} (95 % CI {metric.span(interval)}, "
        f"p {p:.2g} by Holm over steps): {ending}."
    )
    gaps = {name: Gap.of(f"{step} {name}", value) for name, value in found.items()}
    return StepWorth(
        step=step,
        dropped=dropped,
        without=gaps.get("without"),
        without_net=gaps.get("without_net"),
        only=gaps.get("only"),
        only_net=gaps.get("only_net"),
        verdict=verdict,
        says=says,
    )


def _verdict(found: Estimate, p: float, delta: float) -> Verdict:
    if equivalence_p(found, delta) < ALPHA:
        return "can go"
    if p < ALPHA:
        return "earns its keep" if found.mean > 0 else "harms"
    return "not shown to matter"
