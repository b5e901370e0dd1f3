"""How computer players are named, against the protocol's own numbers."""

import pytest

from envs.starcraft.opponents import BUILDS, DIFFICULTIES, RACES, Opponent, expand_opponents, parse_opponent


def test_numbers_are_the_protocols():
    enums = pytest.importorskip("pysc2_evolved.env.enums")
    assert dict(RACES) == {e.name: e.value for e in enums.Race}
    assert dict(DIFFICULTIES) == {e.name: e.value for e in enums.Difficulty}
    assert dict(BUILDS) == {e.name: e.value for e in enums.BotBuild}


@pytest.mark.parametrize(
    ("text", "race", "difficulty", "build"),
    [
        ("zerg:hard:rush", "zerg", "hard", "rush"),
        ("zerg:hard", "zerg", "hard", "random"),
        ("hard:rush", "random", "hard", "rush"),
        ("Very-Easy", "random", "very_easy", "random"),
        ("protoss:elite:air", "protoss", "very_hard", "air"),
        ("random:cheat_insane:random", "random", "cheat_insane", "random"),
    ],
)
def test_parts_may_be_left_out(text, race, difficulty, build):
    opponent = parse_opponent(text)
    assert opponent == Opponent(race, difficulty, build)
    assert parse_opponent(str(opponent)) == opponent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zerk:hard:rush", "'zerg'"),
        ("zreg:hard", "no race 'zreg'; did you mean 'zerg'"),
        ("hart:rush", "no difficulty 'hart'; did you mean 'hard'"),
        ("zerg:hart:rush", "'hard'"),
        ("zerg:elit", "'elite'"),
        ("zerg:hard:rash", "'rush'"),
        ("", "difficulty"),
        ("zerg:hard:rush:now", "race:difficulty:build"),
    ],
)
def test_unknown_names_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_opponent(text)


def test_commas_are_every_combination():
    found = expand_opponents("terran:easy,hard:rush,macro")
    assert found == ["terran:easy:rush", "terran:easy:macro", "terran:hard:rush", "terran:hard:macro"]
    assert expand_opponents("hard") == ["random:hard:random"]
    with pytest.raises(ValueError, match="did you mean 'easy'"):
        expand_opponents("terran:hard,eazy")
