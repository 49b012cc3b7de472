"""Whose fault an exception is: the user's, who can mend it, or a program's."""

from __future__ import annotations

import traceback

OURS = ("curate", "pipelines", "training")


def raised_by_us(error: BaseException) -> bool:
    """Tell a message for the user from a ValueError that some library let slip."""
    if type(error) is not ValueError:
        return type(error).__module__.partition(".")[0] in OURS
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in OURS
