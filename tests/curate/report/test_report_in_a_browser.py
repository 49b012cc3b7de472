"""The page of a run over hostile data: by a parser everywhere, in Chromium where there is one."""

import io
from pathlib import Path

import pytest
from in_a_browser import HOSTILE, OWNED, POLICY, assert_nothing_runs, needs_chromium, opened, shows
from made_run import make_example, make_manifest, step
from PIL import Image

from curate.report.examples import Content
from curate.report.report import render_report, with_proof

MAGENTA, BLUE = (255, 0, 255), (42, 111, 184)


def picture() -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (120, 80), MAGENTA).save(sink, "png")
    return sink.getvalue()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The report of a run whose every name is hostile, with a picture."""
    content = Content(HOSTILE, picture(), HOSTILE)
    names = dict.fromkeys(("id", "other", "detail", "error", "file", "where"), HOSTILE)
    profile = {"rows": 1, "histograms": {HOSTILE: {3: 1}}, "labels": {HOSTILE: 1}}
    manifest = make_manifest(
        name=HOSTILE,
        declared=[HOSTILE],
        notes=[{"op": HOSTILE, "note": HOSTILE, "count_sum": 1}],
        columns={"text": HOSTILE},
        profile={"before": profile, "after": profile},
        splits={HOSTILE: 750},
        shards=[{"file": HOSTILE, "rows": 750, "sha256": "ab" * 32}],
        steps=[step(1, HOSTILE, 1000, reasons={HOSTILE: 1})],
    )
    example = make_example(op=HOSTILE, reason=HOSTILE, content=content, beside=content, **names)
    path = tmp_path / "report.html"
    path.write_text(render_report(manifest, HOSTILE, [example]), encoding="utf-8")
    return path


def test_hostile_names_become_no_part_of_the_report(page: Path) -> None:
    assert_nothing_runs(page.read_text("utf-8"))


@needs_chromium
def test_hostile_names_do_nothing_in_a_browser(page: Path) -> None:
    assert_nothing_runs(opened(page))


@needs_chromium
def test_pictures_and_style_of_the_report_show(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    example = make_example(content=Content("a row", picture()))
    page.write_text(render_report(make_manifest(), "", [example]), encoding="utf-8")
    assert shows(page, MAGENTA, BLUE)


@needs_chromium
def test_the_policy_of_the_report_stops_scripts(page: Path) -> None:
    script = f"<script>{OWNED}</script><img src=x onerror={OWNED}>"
    broken = with_proof(page.read_text("utf-8"), script)
    page.write_text(broken, encoding="utf-8")
    assert "<title>owned</title>" not in opened(page)
    page.write_text(broken.replace(POLICY, "img-src data:"), encoding="utf-8")
    assert "<title>owned</title>" in opened(page)
