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
    """For each function of an interface: its command and mode, whether it is obeyed, and whether it is ever offered.

    What is no command is :data:`NO_OP`. A special form of an ability that units have under another number is carried
    out and not offered, as by the server.
    """

    def __init__(self, face: Interface, camera_free: bool) -> None:
        functions = [face.function_table[name] for name in face.functions]
        found = [_command(face, function) for function in functions]
        self.what = np.array([NO_OP if what is None else COMMANDS.index(what) for what, _ in found])
        self.known: npt.NDArray[np.bool_] = np.array([what is not None for what, _ in found])
        self.offered: npt.NDArray[np.bool_] = np.array([offered for _, offered in found])
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


def _command(face: Interface, function: Function) -> tuple[str | None, bool]:
    """The command, or None; and whether a unit ever has it under this number."""
    if function.ability == 0:  # what is done in the panels, and the orders' Move_away_unit
        known = function.command in COMMANDS
        return (function.command if known else None), known
    ability = BY_ID.get(function.ability)
    if ability is None or function.mode == "autocast":
        return None, False
    aimed = function.mode != "quick"
    offered = function.ability in (ability.id, ability.general) and (face.style != "feature" or aimed == ability.aimed)
    return ability.command, offered
