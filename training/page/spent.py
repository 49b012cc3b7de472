"""What each arm cost to train, summed over its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.page.groups import ATTRIBUTED, group_of
from training.result.result import Result

MEASURES = {
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
    "flops": "FLOPs",
    "bytes_read": "bytes read",
    "joules": "joules",
}
"""Fields of a run's record that add up, with their headings."""


@dataclass(frozen=True)
class ArmCosts:
    """Costs of one arm, or of all arms of attribution together."""

    name: str
    runs: int
    sums: dict[str, float | None]
    """By heading; None where a run doesn't say."""


def spent_by_arm(result: Result) -> list[ArmCosts]:
    """Return the costs of each arm and, last, of all; a measure that no run has is left out."""
    parts: dict[str, list[dict[str, Any]]] = {}
    attributed = {run["arm"] for run in result.runs if group_of(run["arm"]) == ATTRIBUTED}
    for run in result.runs:
        name = f"{len(attributed)} arms of attribution" if run["arm"] in attributed else run["arm"]
        parts.setdefault(name, []).append(run)
    if not parts:
        return []
    known = [name for name in MEASURES if any(run.get(name) is not None for run in result.runs)]
    return [
        ArmCosts(name, len(runs), {MEASURES[field]: _sum(runs, field) for field in known})
        for name, runs in (*parts.items(), ("all", result.runs))
    ]


def _sum(runs: Sequence[dict[str, Any]], field: str) -> float | None:
    found = [run.get(field) for run in runs]
    values = [float(value) for value in found if value is not None]
    return sum(values) if len(values) == len(found) else None
