"""The verdict and its sentence, from nothing but what `result.json` holds."""

from collections.abc import Sequence

from training.metrics import metric_named
from training.result.result import Gap, Guard, Result


def decide(
    gap: Gap | None,
    p_equivalence: float | None,
    checks: Sequence[Guard],
    *,
    delta: float,
    alpha: float,
) -> str:
    """Return the verdict.

    A failed `void` guard leaves no verdict to read. Equivalence comes before "better": a gap that
    is shown to be smaller than the smallest effect that matters is not worth claiming, however
    sure its sign. "better" needs the interval, the p-value and every guard.
    """
    failed = {check.if_failed for check in checks if not check.passed}
    if gap is None or p_equivalence is None or "void" in failed:
        return "invalid instrument"
    if p_equivalence < alpha:
        return f"equivalent within ±{delta:g}"
    if gap.ci95[1] < 0 and gap.p < alpha:
        return "worse"
    if gap.ci95[0] > 0 and gap.p < alpha and "refuse" not in failed:
        return "better"
    return "inconclusive"


def with_sentence(result: Result) -> Result:
    """Return a result with its sentence, made from everything else."""
    return result.model_copy(update={"sentence": sentence(result)})


def sentence(result: Result) -> str:
    """Say the verdict in words, with its numbers, and what a reader must know besides."""
    return " ".join([statement(result), *caveats(result)])


def statement(result: Result) -> str:
    """Say the verdict in words, with its numbers and with what refuses a stronger one."""
    if result.verdict == "invalid instrument":
        void = " ".join(guard.detail for guard in result.guards if _voids(guard))
        return f"No verdict, the instrument is not valid: {void}"
    return f"{_claim(result)} {_numbers(result)}"


def caveats(result: Result) -> list[str]:
    """Say why the result is only exploratory, if it is, and what is known of the data."""
    said = [f"Exploratory: {reason}" for reason in result.exploratory_because]
    said += [f"Synthetic defects: {what.rstrip('.')}." for what in result.synthetic]
    return said + [f"Note: {note.rstrip('.')}." for note in result.notes]


def _voids(guard: Guard) -> bool:
    return not guard.passed and guard.if_failed == "void"


def _claim(result: Result) -> str:
    if result.verdict == "better":
        return "Training on the curated data is better than on raw, at equal compute:"
    if result.verdict == "worse":
        return "Training on the curated data is worse than on raw, at equal compute:"
    if result.verdict.startswith("equivalent"):
        margin = metric_named(result.metric).gap(result.delta, sign=False)
        return f"Curated and raw data are worth the same within ±{margin}, at equal compute:"
    if result.ci95 is not None and result.ci95[0] > 0 and result.refusals:
        return f"Not supported. {' '.join(result.refusals)} Against raw, at equal compute:"
    return "No significant gap between curated and raw data, at equal compute:"


def _numbers(result: Result) -> str:
    assert result.gap is not None
    assert result.ci95 is not None
    assert result.p is not None
    metric = metric_named(result.metric)
    means = {arm.name: arm.mean for arm in result.arms}
    scores = f"{metric.value(means['curated'])} against {metric.value(means['raw'])}"
    said = (
        f"{result.metric} {scores}, {metric.gap(result.gap)} (95 % CI {metric.span(result.ci95)}, "
        f"p {_p(result.p)}, {result.seeds} seeds, {result.test_rows:,} test rows)."
    )
    twin = next((arm for arm in result.arms if arm.name == "random@n"), None)
    if result.verdict == "better" and twin is not None:
        said += f" As many random raw rows score {metric.value(twin.mean)}."
    if result.verdict == "better":
        said += _tested_range(result)
    if result.verdict == "inconclusive" and not result.refusals and result.mde.after is not None:
        least = metric.gap(result.mde.after, sign=False)
        said += f" A gap of {least} would have been found with 80 % power."
    return said


def _tested_range(result: Result) -> str:
    """Name the sizes between which the claim was tried: elsewhere it may not hold."""
    if result.curve is None:
        return ""
    sizes = [point.n for point in result.curve.points if point.arm == "raw"]
    return f" Tried from {min(sizes):,.0f} to {max(sizes):,.0f} raw {result.curve.axis}."


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"
