"""Whose fault an exception is: the user's, who can mend it, or a program's."""

from __future__ import annotations

import dis

OURS = ("curate", "pipelines", "training")
_RAISE = dis.opmap["RAISE_VARARGS"]


def raised_by_us(error: BaseException) -> bool:
    """Tell a message for the user from a ValueError that some library, or C code, let slip.

    One of ours ends in a `raise` statement of a module of ours: a failed call or unpacking in the
    same frame ends in another instruction.
    """
    if type(error) is not ValueError:
        return type(error).__module__.partition(".")[0] in OURS
    last = error.__traceback__
    if last is None:
        return False
    while last.tb_next is not None:
        last = last.tb_next
    module = str(last.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    return module in OURS and last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE
