"""Errors that a user can cause and mend."""


class UserError(ValueError):
    """Its message names what is wrong, what was expected and how to mend it; shown without a trace."""
