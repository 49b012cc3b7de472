"""What goes wrong for a user of a proof."""


class UserError(ValueError):
    """Something that the user must mend: the message says what was given and what is allowed."""
