"""The layouts written down here against the maps' own archives."""

import numpy as np
import pytest

from envs.starcraft import maps
from envs.starcraft.interface import InterfaceError
from envs.starcraft.layouts import archive


@pytest.mark.parametrize("name", maps.MAPS)
def test_written_layout_is_the_archives(name):
    path = archive.archive(name)
    if path is None:
        pytest.skip("the map archives of pysc2_evolved are not installed")
    read, written = archive.read_layout(name, path, maps.MAPS[name].written.resources), maps.MAPS[name].written
    assert read.loops == written.loops
    assert np.allclose(read.places, written.places, atol=3e-4)
    assert read.resources == written.resources


def test_without_the_package_the_written_layout_serves(monkeypatch):
    monkeypatch.setattr(archive.importlib.util, "find_spec", lambda name: None)
    assert maps.MAPS["DefeatRoaches"].layout() == maps.MAPS["DefeatRoaches"].written


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(maps.UnknownMap, match="MoveToBeacon"):
        maps.mini_game("MoveToBeakon")
    with pytest.raises(InterfaceError, match="max_units"):
        maps.interface_for("MoveToBeacon", max_unit=3)
