"""A small run's manifest, examples and pictures, for the tests of what shows them."""

import io

from PIL import Image

from curate.manifest import Manifest
from curate.report.examples import Content, Example
from pipelines.ledger.counts import StepCounts
from pipelines.ledger.entries import LedgerRecord


def step(number, op, entered, *, reasons=None, quarantined=0, derived=0):
    reasons = reasons or {}
    dropped = sum(reasons.values()) - quarantined
    return StepCounts(
        step=number, op=op, entered=entered, kept=entered - dropped - quarantined,
        dropped=dropped, quarantined=quarantined, derived=derived, reasons=reasons, seconds=0.25,
    )  # fmt: skip


SOURCE = "name: tiny\nsteps: []\n"


def make_manifest(**changes):
    profile = {"rows": 997, "histograms": {"characters": {-1: 3, 14: 5, 15: 9}}}
    manifest = {
        "name": "tiny",
        "tool": {"name": "curate", "version": "0.1.0"},
        "created": "2026-11-21T23:00:00Z",
        "seconds": 12.3,
        "runner": "local",
        "workers": 2,
        "seed": 0,
        "rows": {"in": 1000, "kept": 700, "dropped": 297, "quarantined": 3, "derived": 50},
        "steps": [
            step(0, "read", 1000, reasons={"unreadable": 3}, quarantined=3),
            step(1, "word_count", 997, reasons={"too_short": 200, "too_long": 1}),
            step(2, "near_dedup", 796, reasons={"near_duplicate": 96}),
            step(3, "augment_text", 700, derived=50),
        ],
        "dropped_by_reason": {"too_short": 200, "too_long": 1, "near_duplicate": 96},
        "splits": {"train": 750},
        "shards": [{"file": "train/data-00000-of-00001.arrow", "rows": 750, "sha256": "ab" * 32}],
        "columns": {"text": "text", "image": None, "label": "label", "id": None},
        "profile": {
            "before": {**profile, "labels": {"fresh": 600, "rotten": 397}},
            "after": {**profile, "labels": {"fresh": 375, "rotten": 375}},
        },
        "notes": [{"op": "near_dedup", "note": "buckets linked as chain", "count_sum": 3}],
        "declared": ["labels carry 30 % injected noise: synthetic"],
        "ledger": [],
        "features": {},
        "external_data": "none",
        "recipe": {"sha256": "cd" * 32, "file": "recipe.yaml"},
        "input": {"fingerprint": "ef" * 16, "files": 2, "bytes": 9_000, "limit": None},
        "versions": {"python": "3.11"},
    }
    return Manifest.model_validate({**manifest, **changes})


def make_example(
    number=1, op="word_count", reason="too_short", content=None, beside=None, **record
):
    known = {"key": 0, "id": "d1", "step": number, "op": op, "reason": reason, "fate": "dropped"}
    return Example(LedgerRecord(**{**known, **record}), content, beside)


def near(text, other, **record):
    return make_example(
        2, "near_dedup", "near_duplicate", Content(text), Content(other), other="d0", **record
    )


def picture(size=(300, 200), mode="RGB", kind="png"):
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, kind)
    return sink.getvalue()
