"""What goes wrong for a user of a proof."""

from __future__ import annotations


class UserError(ValueError):
    """Something that the user must mend: the message says what was given and what is allowed."""
