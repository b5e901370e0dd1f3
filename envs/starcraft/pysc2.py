"""PySC2, imported here alone: ``pysc2_evolved``, or the original ``pysc2`` where a user has it working.

What is read from its tables, the maps that it and the installation have, and its name for what an interface shows. Its
log goes to the logger ``pysc2``.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from envs.spelling import did_you_mean
from envs.starcraft import installation
from envs.starcraft.functions import ORDER_GRID
from envs.starcraft.installation import HOW_TO_GET_PYSC2, Installation, InstallationError
from envs.starcraft.interface import CAMERA_WIDTH, ORDERS, Function, Interface
from envs.starcraft.layouts.archive import archive
from envs.starcraft.maps import check_players


@dataclass(frozen=True)
class Pysc2:
    """PySC2's modules, and what is read from its tables."""

    name: str
    sc2_env: ModuleType
    features: ModuleType
    actions: ModuleType
    maps: ModuleType
    run_configs: ModuleType
    sc_process: ModuleType
    remote_controller: ModuleType
    protocol: ModuleType
    messages: ModuleType
    """``s2clientprotocol.sc2api_pb2``."""

    @cached_property
    def orders(self) -> Mapping[int, int]:
        """Ability -> its place in ``interface.ORDERS``, by the names that PySC2 gives abilities."""
        starts = (
            ("Move_", "move"), ("Attack_", "attack"), ("Patrol_", "patrol"), ("HoldPosition_", "hold"),
            ("Harvest_Gather_", "gather"), ("Harvest_Return_", "return"), ("Build_", "build"), ("Train_", "train"),
        )  # fmt: skip
        found = {}
        for function in self.actions.RAW_FUNCTIONS:
            for start, order in starts:
                if function.ability_id and function.name.startswith(start):
                    found[int(function.ability_id)] = ORDERS.index(order)
        return found

    @property
    def effects(self) -> type[IntEnum]:
        """The effects' numbers: of the fork they have moved."""
        types = self.features if hasattr(self.features, "Effects") else f"{self.name}.lib.features_types"
        found: type[IntEnum] = (importlib.import_module(types) if isinstance(types, str) else types).Effects
        return found

    def abilities(self, function: Function) -> frozenset[int]:
        """The abilities, general and specific, that a raw function stands for."""
        general = int(self.actions.RAW_FUNCTIONS[function.id].ability_id)
        if general == 0:
            return frozenset()  # what the panels do, for which nobody is asked
        special = (int(f.ability_id) for f in self.actions.RAW_FUNCTIONS if int(f.general_id) == general)
        return frozenset((general, *special))

    def planes(self, names: Iterable[str], minimap: bool) -> list[int]:
        """Where PySC2 keeps the planes of these names."""
        table = self.features.MinimapFeatures if minimap else self.features.ScreenFeatures
        return [table._fields.index(name) for name in names]


@lru_cache(maxsize=1)
def load() -> Pysc2:
    """Import PySC2. Raises InstallationError with what to do if it is missing or broken."""
    name = installation.pysc2_package()
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with _quiet():
            if name == "pysc2":
                _mend_original()
            parts = {
                "sc2_env": "env.sc2_env", "features": "lib.features", "actions": "lib.actions", "maps": "maps",
                "run_configs": "run_configs", "sc_process": "lib.sc_process",
                "remote_controller": "lib.remote_controller", "protocol": "lib.protocol",
            }  # fmt: skip
            modules = {key: importlib.import_module(f"{name}.{path}") for key, path in parts.items()}
            messages = importlib.import_module("s2clientprotocol.sc2api_pb2")
    except Exception as error:
        raise InstallationError(_explain(name, error)) from error
    _log_to(logging.getLogger("pysc2"), name)
    return Pysc2(name, messages=messages, **modules)


def _mend_original() -> None:
    """``pysc2`` 4.0.0 shuffles its colors in a way that Python 3.11 refuses, and wants its flags parsed."""
    import random
    from types import SimpleNamespace

    colors = importlib.import_module("pysc2.lib.colors")
    colors.random = SimpleNamespace(shuffle=lambda values, *_: random.Random(21).shuffle(values))  # type: ignore[attr-defined]
    flags = importlib.import_module("absl.flags").FLAGS
    if not flags.is_parsed():
        flags(["perceiver-rl"])


def _explain(name: str, error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, TypeError) and "Descriptors cannot be created directly" in str(error):
        return (
            f"{name} does not import: s2clientprotocol was generated for an older protobuf; "
            "pip uninstall -y s2clientprotocol && pip install --force-reinstall pys2clientprotocol"
        )
    if name == "pysc2":
        return (
            f"the original pysc2 does not import ({text}); {HOW_TO_GET_PYSC2} brings pysc2_evolved, which is taken "
            "first, or: pip install --no-deps 'pysc2==4.0.0' && pip install pys2clientprotocol"
        )
    return f"{name} does not import ({text}); {HOW_TO_GET_PYSC2}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is logged while importing PySC2 from setting up a handler for the whole program."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    level, root.level = root.level, logging.CRITICAL + 1
    try:
        yield
    finally:
        root.level = level
        root.removeHandler(silent)


def _log_to(logger: logging.Logger, package: str) -> None:
    """Let PySC2's modules log to a logger of their own: its causes are told in our one line already."""
    logger.setLevel(logging.CRITICAL)
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{package}.") and getattr(module, "logging", None) is not None:
            module.logging = logger  # type: ignore[attr-defined]


# ---- maps


def find_map(name: str, here: Installation, versus: bool) -> Any:
    """PySC2's map of that name, or one made of the file of that name in the installation's ``Maps`` folder.

    ``versus``: whether there is an opponent; a map that PySC2 does not know is taken to be one for that. A mini-game
    that is missing there is read from PySC2's package. Raises InstallationError if there is no such map, and ValueError
    if it is one for more players, or for fewer.
    """
    pysc2 = load()
    known, files = pysc2.maps.get_maps(), here.maps()
    base = pysc2.maps.lib.Map
    if name in known:
        found = known[name]()
    elif name in files:
        players = {"players": 2} if versus else {"players": 1, "score_index": 0}
        found = type(name, (base,), {"filename": files[name].name, **players})()
    else:
        near = did_you_mean(name, [*known, *files]) or "."
        raise InstallationError(
            f"neither PySC2 nor {here.maps_folder} has a map {name!r}{near} There are: {', '.join(sorted({*files}))}"
        )
    check_players(name, versus, found.players or 1)
    # Where PySC2 looks for it; else wherever a file of its name lies, as people put them into Maps itself.
    names = [Path(found.path).stem, f"({found.players}){Path(found.path).stem}", name]
    file = here.map_file(found.path, found.players) or next((files[n] for n in names if n in files), None)
    if file is not None and file.is_relative_to(here.maps_folder):
        found.directory, found.filename = "", file.relative_to(here.maps_folder).as_posix()
    file = file or archive(name)
    if file is None:
        raise InstallationError(
            f"the map is not there: {here.maps_folder / found.path}; download the map packs from "
            "https://github.com/Blizzard/s2client-proto#map-packs and unpack them into that Maps folder"
        )
    found.data = lambda run_config: file.read_bytes()
    return found


def check_version(version: str | None, here: Installation) -> None:
    """Raise InstallationError, with those that there are, if the game's version is not installed."""
    if version is None:
        return
    known = load().run_configs.get().get_versions()
    if version not in known and f"{version}.0" not in known:
        raise InstallationError(
            f"version: {here.folder} does not hold {version}{did_you_mean(version, known) or '.'} "
            f"It holds: {', '.join(known)}"
        )


def interface_format(interface: Interface) -> Any:
    """PySC2's ``AgentInterfaceFormat`` in which everything that ``interface`` needs is there, and as little else."""
    pysc2 = load()
    raw = interface.whole_map
    grid = ORDER_GRID if interface.style == "orders" else interface.world_size
    layers = not raw or interface.screen_planes or interface.minimap_planes
    dimensions = pysc2.features.Dimensions(screen=interface.screen, minimap=interface.minimap) if layers else None
    space = pysc2.actions.ActionSpace
    return pysc2.features.AgentInterfaceFormat(
        feature_dimensions=dimensions,
        action_space=space.RAW if raw else space.FEATURES,
        use_raw_units=raw,
        use_raw_actions=raw,
        raw_resolution=grid if raw else None,
        use_unit_counts=not raw,  # the cheapest way to have PySC2 ask for the raw data
        camera_width_world_units=int(CAMERA_WIDTH),
        allow_cheating_layers="unit_type" in interface.minimap_planes,
        hide_specific_actions=not interface.special,
        send_observation_proto=True,
    )
