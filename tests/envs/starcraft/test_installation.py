"""Where the game and its maps are found: as PySC2 finds them, and as people lay them out."""

import platform

import pytest

from envs import registry
from envs.errors import EnvError
from envs.starcraft import installation


def put(path, content=b"a map"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that looks like the game's, without a map."""
    program = put(tmp_path / "SC2" / "Versions" / "Base75689" / "SC2_x64", b"")
    program.chmod(0o755)
    monkeypatch.setenv("SC2PATH", str(tmp_path / "SC2"))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    return tmp_path / "SC2"


FACE = {"functions": ["no_op"], "max_units": 8}


@pytest.mark.parametrize(
    "file",
    [
        "Maps/Ladder2019Season1/AutomatonLE.SC2Map",  # where PySC2 looks
        "Maps/AutomatonLE.SC2Map",
        "Maps/Automaton.SC2Map",
        "Maps/mine/AutomatonLE.SC2Map",
        "maps/AutomatonLE.SC2Map",
        "Maps/Ladder2019Season1/(2)AutomatonLE.SC2Map",
    ],
)
def test_a_map_of_pysc2s_is_found_wherever_it_lies(place, file):
    pytest.importorskip("pysc2_evolved")
    from envs.starcraft.pysc2 import find_map

    put(place / file)
    found = find_map("Automaton", installation.find(), versus=True)
    assert found.data(None) == b"a map"
    assert found.path == file.partition("/")[2]
    registry.check("sc2/Automaton", {"opponent": "zerg:easy", **FACE})


def test_folders_that_links_lead_to_are_searched_and_circles_end(place, tmp_path):
    put(tmp_path / "elsewhere" / "Deep" / "MyMap.SC2Map")
    (place / "Maps").mkdir()
    (place / "Maps" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(place / "Maps", target_is_directory=True)
    assert installation.find().maps() == {"MyMap": place / "Maps" / "linked" / "Deep" / "MyMap.SC2Map"}


def test_maps_in_lower_case_are_found_and_the_usual_folder_comes_first(place):
    put(place / "maps" / "lower.SC2Map")
    assert set(installation.find().maps()) == {"lower"}
    put(place / "Maps" / "usual.SC2Map")
    assert "usual" in installation.find().maps()


@pytest.mark.parametrize("name", ["Acropolis", "OfMyOwn"])
def test_a_map_that_nobody_knows_needs_an_interface(place, name):
    pytest.importorskip("pysc2_evolved")
    put(place / "Maps" / f"{name}.SC2Map")
    for options in ({}, {"functions": ["no_op"]}, {"max_units": 40}, {"style": "raw"}):
        with pytest.raises(EnvError, match=rf"sc2/{name}: nobody has written down what suits the map {name}.*such as"):
            registry.check(f"sc2/{name}", {"opponent": "zerg:easy", **options})
        with pytest.raises(EnvError, match="nobody has written down"):
            registry.make(f"sc2/{name}", 1, opponent="zerg:easy", **options)
    registry.check(f"sc2/{name}", {"opponent": "zerg:easy", **FACE})
    env = registry.make(f"sc2/{name}", 1, opponent="zerg:easy", **FACE)
    assert env.interface.max_units == 8
    env.close()


@pytest.mark.parametrize(
    ("system", "where", "program", "expected"),
    [
        (
            "Windows",
            "Documents",
            "D:\\Games\\StarCraft II\\Versions\\Base75689\\SC2_x64.exe",
            "D:/Games/StarCraft II",
        ),
        (
            "Darwin",
            "Library/Application Support/Blizzard",
            "/Applications/Other/StarCraft II/Versions/Base75689/SC2.app/Contents/MacOS/SC2",
            "/Applications/Other/StarCraft II",
        ),
    ],
)
def test_the_game_says_where_it_was_played_last(tmp_path, monkeypatch, system, where, program, expected):
    platforms = pytest.importorskip("pysc2_evolved.run_configs.platforms")
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(platform, "system", lambda: system)
    assert str(installation.folder()) in ("/Applications/StarCraft II", "C:/Program Files (x86)/StarCraft II")
    put(tmp_path / where / "StarCraft II" / "ExecuteInfo.txt", f"executable = {program}\r\n\0".encode())
    assert installation.folder().as_posix() == expected
    levels = {"Windows": 3, "Darwin": 6}[system]
    assert platforms._read_execute_info(str(tmp_path / where), levels) == expected, "as PySC2 reads it"
    with pytest.raises(installation.InstallationError, match=r"ExecuteInfo\.txt; SC2PATH is not set"):
        installation.find()
    monkeypatch.setenv("SC2PATH", str(tmp_path / "named"))
    assert installation.folder() == tmp_path / "named"


@pytest.mark.parametrize("text", [b"", b"executable", b"executable = SC2\n", b"other = /a/b/c/d\n", b"\xff\xfe"])
def test_what_says_nothing_is_passed_over(tmp_path, monkeypatch, text):
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    put(tmp_path / "Library/Application Support/Blizzard/StarCraft II/ExecuteInfo.txt", text)
    assert str(installation.folder()) == "/Applications/StarCraft II"
