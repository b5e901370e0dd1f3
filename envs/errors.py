"""What goes wrong with environments."""


class EnvError(ValueError):
    """An environment that is not known or cannot be made with these options; the message says what to do."""


class EnvFailure(RuntimeError):
    """An environment that raised, left the program, or broke Gymnasium's rules while it was made or played.

    The message names it, the episode and the step, and holds the environment's own trace.
    """
