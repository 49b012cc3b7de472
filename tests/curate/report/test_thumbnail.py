import base64
import io
import sys

import pytest
from made_run import picture
from PIL import Image

from curate.report.thumbnail import thumbnail


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK"])
def test_thumbnail_shows_every_mode(mode):
    kind = "tiff" if mode in ("F", "CMYK") else "png"
    small = thumbnail(picture(mode=mode, kind=kind))
    shown = Image.open(io.BytesIO(base64.b64decode(small.uri.partition(",")[2])))
    assert max(shown.size) == 180
    assert small.caption == f"300 × 200 {kind.upper()}"


def test_thumbnail_keeps_every_pixel_of_a_tiny_image():
    small = thumbnail(picture((28, 28), "L"))
    assert small.tiny
    assert small.uri.startswith("data:image/png")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg onload=x>", picture()[:60]])
def test_thumbnail_of_broken_bytes_says_so(data):
    small = thumbnail(data)
    assert small.uri is None
    assert small.caption.startswith(f"cannot be decoded ({len(data)} bytes)")


def test_thumbnail_does_not_decode_bombs():
    small = thumbnail(picture((20_000, 3_000), "1"))
    assert small.uri is None
    assert small.caption.endswith("too large for a preview")


def test_thumbnail_does_without_pillow(monkeypatch):
    data = picture()
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert thumbnail(data).caption == "no preview: pip install 'curate-proof[image]'"
