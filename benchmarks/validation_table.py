"""What a check against a published result found, as a table and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Agreement = Literal["yes", "no", "in part", "not checkable"]


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    check: str
    """Name of the check that found it, as `--only` takes it."""
    claim: str
    source: str
    published: str
    ours: str
    agreement: Agreement
    says: str
    """A paragraph: how it was measured, what it means, what it does not."""
    n: str = "–"
    seeds: int | None = None
    spread: str = "–"
    needs: str = ""
    """Data that is missing for the rest of the claim."""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of HEADS."""
        seeds = "–" if self.seeds is None else str(self.seeds)
        return (
            f"{self.claim} ({self.source})",
            self.published,
            self.ours,
            self.agreement,
            self.n,
            seeds,
            self.spread,
        )


HEADS = ("Claim", "Published", "Ours", "Agreement", "n", "Seeds", "Spread")


def not_checkable(check: str, claim: str, source: str, published: str, needs: str) -> Finding:
    """Return the row of a claim whose data is not there."""
    return Finding(
        check, claim, source, published, "–", "not checkable", f"Needs {needs}.", needs=needs
    )


def half_width(values: npt.ArrayLike, level: float = 0.95) -> float:
    """Return half the Student-t interval of the mean of one value per seed."""
    of = np.asarray(values, dtype=np.float64)
    t = float(stdtrit(len(of) - 1, 0.5 + level / 2))
    return t * float(of.std(ddof=1)) / float(np.sqrt(len(of)))


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as a Markdown table."""
    rows = [HEADS, tuple("---" for _ in HEADS), *(finding.cells for finding in findings)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def document(result: dict[str, Any]) -> str:
    """Return docs/validation.md of a stored result."""
    findings = [Finding(**row) for row in result["findings"]]
    count = dict.fromkeys(("yes", "in part", "no", "not checkable"), 0)
    for finding in findings:
        count[finding.agreement] += 1
    parts = [
        "# External validation",
        "Published results, measured again with what is in this repository. Written by "
        f"`{result['command']}`; do not edit. "
        f"{len(findings)} claims: {count['yes']} agree, {count['in part']} in part, {count['no']} "
        f"do not, {count['not checkable']} could not be checked. "
        f"{result['date']}, {result['machine']}, one thread, "
        f"{sum(result['cpu_seconds'].values()):,.0f} CPU-s in all"
        + (
            ", shortened run (`--quick`): no figure here means anything."
            if result["quick"]
            else "."
        ),
        table(findings),
        *(f"## {finding.claim}\n\n{finding.says}" for finding in findings),
    ]
    needed = [f"- {finding.claim}: {finding.needs}." for finding in findings if finding.needs]
    if needed:
        parts.append("## What could not be checked, and what it would need\n\n" + "\n".join(needed))
    return "\n\n".join(parts) + "\n"


def stored(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the findings as what JSON holds."""
    return [asdict(finding) for finding in findings]
