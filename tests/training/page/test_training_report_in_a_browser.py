"""The page of a proof over hostile names: by a parser, and in Chromium where there is one."""

from pathlib import Path
from typing import Any

import example_results as examples
import pytest
from in_a_browser import HOSTILE, OWNED, POLICY, assert_nothing_runs, needs_chromium, opened, shows

from training.page.report import write_report
from training.result.result import Result

WORDS_OF_OURS = {"metric", "verdict", "axis", "p_method", "name", "arm", "if_failed", "kind"}
WORDS_OF_OURS |= {"censored", "best_at"}
"""Keys whose values the page looks up; names of arms among them."""
GREY = (102, 112, 121)


def hostile(value: Any, key: str = "") -> Any:
    """Return a result with hostile words wherever a user's may stand."""
    if isinstance(value, dict):
        return {k: hostile(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v, key) for v in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) and key not in WORDS_OF_OURS else value


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The report of a proof whose words are hostile."""
    smaller = examples.compression().model_dump(mode="json")
    result = examples.full_result().model_copy(update={"compressed": [smaller]})
    told = hostile(result.model_dump(mode="json"))
    told["classes"] = [{**c, "name": HOSTILE} for c in told["classes"]]
    (tmp_path / "result.json").write_text(Result.model_validate(told).model_dump_json())
    write_report(tmp_path / "result.json", tmp_path / "report.html")
    return tmp_path / "report.html"


def test_hostile_names_become_no_part_of_the_proof(page: Path) -> None:
    html = page.read_text("utf-8")
    assert "{{ 7 * 7 }}" in html
    assert_nothing_runs(html)


@needs_chromium
def test_hostile_names_do_nothing_in_the_proof_in_a_browser(page: Path) -> None:
    assert_nothing_runs(opened(page))
    assert shows(page, GREY)


@needs_chromium
def test_the_policy_of_the_proof_stops_scripts(page: Path) -> None:
    broken = page.read_text("utf-8").replace("<main>", f"<main><script>{OWNED}</script>")
    assert OWNED in broken
    page.write_text(broken, encoding="utf-8")
    assert "<title>owned</title>" not in opened(page)
    page.write_text(broken.replace(POLICY, "img-src data:"), encoding="utf-8")
    assert "<title>owned</title>" in opened(page)
