"""What goes wrong with environments."""


class EnvError(ValueError):
    """An environment that is not known or cannot be made with these options; the message says what to do."""
