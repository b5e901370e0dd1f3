"""Every function of PySC2's tables sent to the stand-in's server: obeyed, or refused by the game."""

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from s2clientprotocol import common_pb2, debug_pb2, query_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.starcraft import interface as sc
from envs.starcraft.client import Moment
from envs.starcraft.pysc2 import interface_format, load
from envs.starcraft.translate import Translator
from tests.envs.standin.protocol.player import Player

SUCCESS, NOT_SUPPORTED = 1, 2
REASONS = {36: "bad target", 40: "no tech", 44: "bad place"}
"""Why a command that is known may not be carried out here and now."""
UNDER_ANOTHER_NUMBER = {"Cancel_Queue1_quick", "Cancel_QueueAddOn_quick", "Cancel_QueueCancelToSelection_quick"}
"""Which the server takes for the one that units have."""
TERRAN = (48, 51, 49, 45, 18, 21, 22, 24, 132, 20)
"""A unit of each kind that gives orders: marine, marauder, reaper, SCV, and the buildings."""


def began():
    """A game with one of each Terran unit that the stand-in plays, and the means for everything."""
    player = Player("CollectMineralsAndGas")
    commands = [debug_pb2.DebugCommand(game_state=state) for state in (debug_pb2.all_resources, debug_pb2.food)]
    for i, kind in enumerate(TERRAN):
        place = common_pb2.Point2D(x=30 + 4 * (i % 4), y=21 + 5 * (i // 4))
        created = debug_pb2.DebugCreateUnit(unit_type=kind, owner=1, pos=place, quantity=1)
        commands.append(debug_pb2.DebugCommand(create_unit=created))
    for command in commands:
        player.tell(debug=sc_pb.RequestDebug(debug=[command]))
    player.step(2)
    return player


def offered(player):
    """The abilities that some own unit has, by the game's own word."""
    units = [u for u in player.see().observation.raw_data.units if u.alliance == 1]
    asked = [query_pb2.RequestQueryAvailableAbilities(unit_tag=u.tag) for u in units]
    told = player.tell(query=query_pb2.RequestQuery(abilities=asked, ignore_resource_requirements=True)).query
    return {ability.ability_id for one in told.abilities for ability in one.abilities}


@pytest.fixture(scope="module")
def answers():
    """The abilities that units have, and what the game says to each raw function, for all units, from one state."""
    player = began()
    face = sc.Interface(style="raw", functions=("all",), max_units=64, minimap=64, screen_planes=())
    told = player.see()
    size = common_pb2.Size2DI(x=64, y=64)
    theirs = load().features.Features(interface_format(face), map_size=size, requested_races={1: 1})
    translator = Translator(face, load(), size.x, size.y)
    translator.observe(Moment(theirs.transform_obs(told), told, 0.0, False))
    aimed = next(i for i, unit in enumerate(translator.units.seen) if unit.mineral_contents)
    abilities, found = offered(player), {}
    player.ask(quick_save=sc_pb.RequestQuickSave())
    for number, name in enumerate(face.functions):
        action = {"function": number, "unit_tags": np.ones(64, int), "target_unit_tag": aimed, "world": 36 * 64 + 34}
        (call,), _ = translator.calls(action, np.zeros(len(face.functions), np.int8))  # whatever the mask says
        sent = theirs.transform_action(told.observation, load().actions.FunctionCall(*call), skip_available=True)
        (found[name],) = player.ask(action=sc_pb.RequestAction(actions=[sent])).action.result
        if found[name] != NOT_SUPPORTED:
            player.ask(quick_load=sc_pb.RequestQuickLoad())
    return abilities, found


def test_what_a_unit_has_is_obeyed_and_what_none_has_the_game_refuses(answers):
    abilities, found = answers
    assert set(found) == {f.name for f in load().actions.RAW_FUNCTIONS}
    table = {f.name: f for f in load().actions.RAW_FUNCTIONS if f.ability_id}
    forms = abilities | {int(f.general_id) for f in table.values() if f.ability_id in abilities and f.general_id}
    known = {name for name, f in table.items() if f.ability_id in forms and "autocast" not in name}
    assert len(known) >= 60
    for name in table:
        if name in known:
            assert found[name] in (SUCCESS, *REASONS), name
        elif name not in UNDER_ANOTHER_NUMBER:
            assert found[name] == NOT_SUPPORTED, name
    assert sum(found[name] == SUCCESS for name in known) >= 50
    assert found["no_op"] == SUCCESS
    assert found["Build_Barracks_pt"] in (SUCCESS, *REASONS)
    assert found["Train_Zergling_quick"] == found["Effect_Blink_pt"] == found["Train_Thor_quick"] == NOT_SUPPORTED
