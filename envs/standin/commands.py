"""Which of the interface's functions the stand-in carries out, and by which command.

Functions name abilities, general or special ones, as the game's server takes them; what it does not know it refuses.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.standin.actions import MODES
from envs.standin.protocol.observation.abilities import BY_ID
from envs.standin.rules.cards import COMMANDS, NO_OP
from envs.starcraft.functions import Function
from envs.starcraft.interface import Interface


class Commands:
    """For each function of an interface: its command and mode, whether it is obeyed, and when it is offered.

    ``what`` [F]: the command, :data:`NO_OP` for what is none; ``asked`` [F]: the one that is offered when this function
    is. A special form of an ability that units have under another number is carried out and not offered, as by the
    server, and a switch for what units do by themselves is offered and refused.
    """

    def __init__(self, face: Interface, camera_free: bool) -> None:
        functions = [face.function_table[name] for name in face.functions]
        found = [_command(function) for function in functions]
        switches = np.array([function.mode == "autocast" for function in functions])
        self.asked = np.array([NO_OP if what is None else COMMANDS.index(what) for what in found])
        self.what = np.where(switches, NO_OP, self.asked)
        self.known: npt.NDArray[np.bool_] = ~switches & np.array([what is not None for what in found])
        self.offered: npt.NDArray[np.bool_] = np.array([_is_offered(face, function) for function in functions])
        aimed = [f.mode if known and f.mode in MODES else "ui" for f, known in zip(functions, self.known, strict=True)]
        self.modes = np.array([MODES.index(mode) for mode in aimed])
        if "raw_move_camera" in face.functions:
            self.known[face.functions.index("raw_move_camera")] = camera_free  # else the game says that it cannot
        self.modes[self.what == COMMANDS.index("move_camera")] = MODES.index("ui")  # the raw one, too
        self.everything = bool(self.offered.all())

    def hide(self, mask: npt.NDArray[np.int8]) -> None:
        """Take out of a mask [..., F] what is never offered."""
        if not self.everything:
            mask[..., ~self.offered] = 0


def _command(function: Function) -> str | None:
    """The command that a function comes to, or None."""
    if function.ability == 0:  # what is done in the panels, and the orders' Move_away_unit
        return function.command if function.command in COMMANDS else None
    ability = BY_ID.get(function.ability)
    return None if ability is None else ability.command


def _is_offered(face: Interface, function: Function) -> bool:
    """Has a unit ever this function, under this number and aimed like this?"""
    if function.ability == 0:
        return function.command in COMMANDS
    ability = BY_ID.get(function.ability)
    if ability is None or function.ability not in (ability.id, ability.general):
        return False
    return face.style != "feature" or (function.mode != "quick") == ability.aimed
