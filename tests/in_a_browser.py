"""Open a page in Chromium, and look for what must not be in one; for tests of both reports."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium on this machine: `apt-get install chromium`; "
    "the same pages were checked by a parser",
)

OWNED = "document.title='owned'"
PAYLOADS = (
    f"<script>{OWNED}</script>",
    f"</script><script>{OWNED}</script>",
    f"""'"><img src=x onerror="{OWNED}">""",
    f"</style></title></textarea><svg onload={OWNED}><script>{OWNED}</script></svg>",
    f"javascript:{OWNED}",
    f"""' autofocus onfocus={OWNED} x='" onmouseover="{OWNED}""",
    "<style>*{display:none}</style><i id=owned>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "{{ 7 * 7 }}{% raw %}<!-- ]]>",
    "\x1b[31m\x1b]0;owned\x07\r\u202etxt.exe",
)
HOSTILE = " ".join(PAYLOADS)
LINKS = ("src", "href", "xlink:href", "action", "formaction")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class _Page(HTMLParser):
    """Tags, attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.title, self._in_title = "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._in_title = tag == "title"

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""


def assert_nothing_runs(html: str) -> None:
    """Assert that nothing of `PAYLOADS` has become part of a page."""
    page = _Page(html)
    assert page.title.strip() != "owned"
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert ("id", "owned") not in page.attributes
    assert ("content", POLICY) in page.attributes
    links = [
        value or "" for name, value in page.attributes if name in ("src", "href", "xlink:href")
    ]
    assert all(link.startswith(("data:image/", "#")) for link in links), links
    assert not set("\x1b\x07\u202e") & set(html)


def opened(page: Path) -> str:
    """Return what a page has become in Chromium, as HTML."""
    return _chromium(page, "--dump-dom").decode("utf-8", "replace")


def shows(page: Path, *colours: tuple[int, int, int], height: int = 3000) -> bool:
    """Tell whether all of some colours, or ones that come close, are seen on a page in Chromium."""
    shot = page.with_suffix(".png")
    _chromium(page, f"--screenshot={shot}", f"--window-size=1100,{height}")
    seen = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    return all((np.abs(seen - np.array(colour)).max(axis=2) <= 8).any() for colour in colours)


def _chromium(page: Path, *how: str) -> bytes:
    quiet = ("networking", "timer-throttling")
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        *(f"--disable-background-{what}" for what in quiet),
        f"--user-data-dir={page.parent / 'chromium'}",
        *how, page.absolute().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout
