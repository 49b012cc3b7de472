"""Corpora with known defects, and recipes over them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_memory import Drop, Poison

from curate.recipe.recipe import Recipe
from pipelines.steps import AnyStep


class OwnSteps(Recipe):
    """A recipe that may also hold the steps of these tests."""

    steps: tuple[AnyStep | Poison | Drop, ...] = ()


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Make a recipe that writes to `out` in the folder of the test."""

    def make(read: dict[str, Any], steps: Iterable[Any] = (), **rest: Any) -> Recipe:
        write = {"path": str(tmp_path / "out"), **rest.pop("write", {})}
        given = {"name": "test", "read": read, "steps": tuple(steps), "write": write, **rest}
        return OwnSteps.model_validate(given)

    return make


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    """Write JSON lines, compressed where the name ends in .gz; bytes are lines as they are."""

    def write(name: str, rows: Iterable[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = [
            r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in rows
        ]
        data = b"".join(line + b"\n" for line in raw)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture
def picture() -> Callable[[int], bytes]:
    """Make a small JPEG that differs with its seed."""
    from PIL import Image

    def make(seed: int) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "JPEG")
        return sink.getvalue()

    return make
