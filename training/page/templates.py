"""The templates of what a proof shows, and how they are read."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

# Zero-width joiners stay: Persian and emoji are spelt with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def visible(page: str) -> str:
    """Return a page with what has no shape told by its number: no name can turn its text around."""
    return _HIDDEN.sub(lambda match: f"⟨{ord(match[0]):04X}⟩", page)


def environment(*, autoescape: bool, **options: Any) -> Environment:
    """Return where templates are found; a name that stands nowhere is an error."""
    return Environment(
        loader=PackageLoader("training.page", "."),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
