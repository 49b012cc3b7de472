"""What goes wrong for a user."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(ValueError):
    """Something that the user must mend: the message says where, what is allowed and what to do.

    The command line prints it without a traceback and exits with 2. Any other exception is a fault
    of the program, or of a row, which is then quarantined.
    """


def did_you_mean(word: str, allowed: Iterable[str], most: int = 1) -> str:
    """Return `; did you mean 'x'?` for the names nearest to `word`, or nothing."""
    names = {_folded(name): name for name in allowed}
    near = difflib.get_close_matches(_folded(word), names, n=most)
    if not near:
        return ""
    return f"; did you mean {either([repr(names[name]) for name in near])}?"


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def counted(number: int, noun: str) -> str:
    """Return `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def either(words: Sequence[str]) -> str:
    """Return `a`, `a or b`, `a, b or c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"
