"""Prove what curation was worth: paired, repeated, controlled raw-versus-curated training.

`prove` trains the bundled models; `compare_scores` takes per-example scores from any trainer.
Importing this package loads nothing heavy: torch is only imported in the worker processes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.page.report import report_fragment
    from training.proof import prove
    from training.result.result import Result
    from training.verdict.compare import compare_scores

__all__ = ["Result", "compare_scores", "prove", "report_fragment"]

_HOMES = {
    "Result": "result.result",
    "compare_scores": "verdict.compare",
    "prove": "proof",
    "report_fragment": "page.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"training.{_HOMES[name]}"), name)
    return globals()[name]
