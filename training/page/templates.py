"""The templates of what a proof shows, and how they are read."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


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
