"""Errors that a user can cause and mend, and the wish to stop."""

import signal


class UserError(ValueError):
    """Its message names what is wrong, what was expected and how to mend it; shown without a trace."""


class Stopped(KeyboardInterrupt):
    """A signal asked training to stop, and it did: saved, and earlier than it would have ended."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by)
        self.by = by
        self.code = 128 + by
        """Exit code, as shells give it."""
