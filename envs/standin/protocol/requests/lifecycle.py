"""The game's life, from launch to quit: maps, players, joining, leaving."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.spelling import did_you_mean
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.match import Match, Sizes
from envs.standin.protocol.observation.observation import COMPUTER, PLAYER, playable
from envs.standin.protocol.session import Session
from envs.standin.protocol.version import BUILD, DATA_VERSION, GAME_VERSION
from envs.standin.show.observe import TERRAIN_HEIGHT
from envs.starcraft import interface as sc
from envs.starcraft.maps import MAPS, MELEE, MiniGame
from envs.starcraft.opponents import BUILDS, DIFFICULTIES, RACES, Opponent


def ping(session: Session, asked: sc_pb.RequestPing, told: sc_pb.ResponsePing) -> None:
    """Who is there."""
    told.game_version, told.data_version = GAME_VERSION, DATA_VERSION
    told.data_build = told.base_build = BUILD


def find_map(path: str) -> MiniGame | None:
    """The map that a path names, wherever its folder is; None if it is not one of the stand-in's."""
    name = PureWindowsPath(PurePosixPath(path).name).stem
    name = name.split(")", 1)[1] if name.startswith("(") and ")" in name else name
    return {known.lower(): map for known, map in {**MAPS, **MELEE}.items()}.get(name.lower())


def create_game(session: Session, asked: sc_pb.RequestCreateGame, told: sc_pb.ResponseCreateGame) -> None:
    """Choose the map and the players."""
    errors = sc_pb.ResponseCreateGame
    participants, computers = (
        [p for p in asked.player_setup if p.type == kind] for kind in (sc_pb.Participant, sc_pb.Computer)
    )
    if asked.HasField("battlenet_map_name"):
        told.error, told.error_details = errors.InvalidMapName, "the stand-in game has no Battle.net; name a local map"
    elif not asked.local_map.map_path:
        told.error, told.error_details = errors.MissingMap, "local_map.map_path names no map"
    elif (map := find_map(asked.local_map.map_path)) is None:
        path = asked.local_map.map_path
        hint = did_you_mean(PurePosixPath(path).stem, [*MAPS, *MELEE])
        told.error = errors.InvalidMapPath
        told.error_details = f"the stand-in game has no map {path!r}{hint}; it has {', '.join([*MAPS, *MELEE])}"
    elif not asked.player_setup:
        told.error, told.error_details = errors.MissingPlayerSetup, "player_setup names no player"
    elif len(participants) != 1:
        told.error = errors.InvalidPlayerSetup
        told.error_details = f"the stand-in game is for one participant, not {len(participants)}"
    elif map.melee and len(computers) != 1:
        told.error = errors.InvalidPlayerSetup
        told.error_details = f"a melee needs one computer player, not {len(computers)}"
    else:
        session.leave()
        session.setup.CopyFrom(asked)
        session.setup.local_map.ClearField("map_data")
        session.map = map
        session.status = sc_pb.init_game


def resolutions(options: sc_pb.InterfaceOptions) -> Sizes:
    """Cells that the screen and the minimap are wide and high. Raises Refused for what the stand-in cannot show."""
    layers = options.feature_layer
    if options.HasField("render"):
        raise Refused("the stand-in game serves feature layers and raw data, no rendered images (rgb)")
    if layers.HasField("width") and layers.width != sc.CAMERA_WIDTH:
        raise Refused(f"the stand-in game's camera is {sc.CAMERA_WIDTH:g} world units wide, not {layers.width:g}")
    if layers.crop_to_playable_area or options.raw_crop_to_playable_area:
        raise Refused("the stand-in game shows the whole map, it does not crop to the playable area")
    sides = [int(side) or 64 for size in (layers.resolution, layers.minimap_resolution) for side in (size.x, size.y)]
    if not all(0 < side <= 512 for side in sides):
        raise Refused(f"the sides of screen and minimap should be from 1 to 512 pixels, not {sides}")
    return sides[0], sides[1], sides[2], sides[3]


def join_game(session: Session, asked: sc_pb.RequestJoinGame, told: sc_pb.ResponseJoinGame) -> None:
    """Start the game that has been created."""
    errors = sc_pb.ResponseJoinGame
    if asked.HasField("observed_player_id"):
        told.error, told.error_details = errors.FeatureUnsupported, "the stand-in game has no observers; watch a replay"
    elif not asked.HasField("race"):
        told.error, told.error_details = errors.MissingParticipation, "the request names no race"
    elif not asked.HasField("options"):
        told.error, told.error_details = errors.MissingOptions, "the request names no options"
    else:
        sizes = resolutions(asked.options)
        assert session.map is not None
        setup = session.setup
        seed = setup.random_seed if setup.HasField("random_seed") else secrets.randbits(31)
        session.race = asked.race
        match = Match(session.map, seed, sizes, not setup.disable_fog, opponent(setup))
        session.begin(match, asked.options, sizes)
        told.player_id = PLAYER


def opponent(setup: sc_pb.RequestCreateGame) -> Opponent:
    """The computer player that the set-up asks for, or one to stand for it where it asks for none."""
    for player in setup.player_setup:
        if player.type == sc_pb.Computer:
            # What is left out is 0: the API's own numbers begin at 1.
            race, difficulty, build = (
                next((name for name, number in table.items() if number == asked), None)
                for table, asked in ((RACES, player.race), (DIFFICULTIES, player.difficulty), (BUILDS, player.ai_build))
            )
            return Opponent(race or "random", difficulty or "very_easy", build or "random")
    return Opponent()


def restart_game(session: Session, asked: Any, told: sc_pb.ResponseRestartGame) -> None:
    """Begin the next episode."""
    session.match.restart()
    session.begin(session.match, session.options, session.match.sizes)


def leave_game(session: Session, asked: Any, told: Any) -> None:
    """Back to where a game can be created."""
    session.leave()


def quit_game(session: Session, asked: Any, told: Any) -> None:
    """The process ends once this is answered."""
    session.status = sc_pb.quit


def game_info(session: Session, asked: Any, told: sc_pb.ResponseGameInfo) -> None:
    """The map and the players."""
    assert session.map is not None
    told.map_name = session.map.name
    told.local_map_path = session.setup.local_map.map_path
    told.options.CopyFrom(session.options)
    if told.options.HasField("feature_layer"):
        told.options.feature_layer.width = sc.CAMERA_WIDTH
    # Whatever race is asked for, the stand-in plays Terran.
    requested = session.race or sc_common.Terran
    told.player_info.add(
        player_id=PLAYER, type=sc_pb.Participant, race_requested=requested, race_actual=sc_common.Terran
    )
    for player in session.setup.player_setup:
        if player.type == sc_pb.Computer:
            told.player_info.add(
                player_id=COMPUTER,
                type=sc_pb.Computer,
                race_requested=player.race or sc_common.Random,
                difficulty=player.difficulty or sc_pb.VeryEasy,
                ai_build=player.ai_build or sc_pb.RandomBuild,
            )
    start = told.start_raw
    size = int(sc.MAP_SIZE)
    start.map_size.x = start.map_size.y = size
    left, bottom, right, top = session.match.playable
    start.playable_area.p0.x, start.playable_area.p0.y = left, bottom
    start.playable_area.p1.x, start.playable_area.p1.y = right, top
    grids = (
        (start.pathing_grid, 1, playable(session.match, 1)),
        (start.placement_grid, 1, playable(session.match, 1)),
        (start.terrain_height, 8, np.full((size, size), TERRAIN_HEIGHT, np.uint8)),
    )
    for image, bits, cells in grids:
        image.bits_per_pixel, image.size.x, image.size.y = bits, size, size
        image.data = (np.packbits(cells) if bits == 1 else cells).tobytes()
    for x, y in session.match.enemy_starts:
        start.start_locations.add(x=x, y=y)


def available_maps(session: Session, asked: Any, told: sc_pb.ResponseAvailableMaps) -> None:
    """The maps that can be played."""
    told.local_map_paths.extend(f"mini_games/{name}.SC2Map" for name in MAPS)
    told.local_map_paths.extend(f"Melee/{name}.SC2Map" for name in MELEE)


def save_map(session: Session, asked: sc_pb.RequestSaveMap, told: sc_pb.ResponseSaveMap) -> None:
    """Nothing is kept: the stand-in knows its maps by their names."""


def map_command(session: Session, asked: sc_pb.RequestMapCommand, told: sc_pb.ResponseMapCommand) -> None:
    """No map of the stand-in's has triggers to call."""
    told.error = sc_pb.ResponseMapCommand.NoTriggerError
    told.error_details = f"the map has no trigger {asked.trigger_cmd!r}"
