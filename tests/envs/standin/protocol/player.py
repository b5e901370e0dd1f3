"""A client in the same process: requests in, responses out, no socket in between."""

from __future__ import annotations

from typing import Any

from s2clientprotocol import raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.session import Session


class Player:
    """Plays one game through the raw interface."""

    def __init__(self, path: str = "Melee/Simple64.SC2Map", seed: int = 1, computer: Any = None, **create: Any) -> None:
        self.session = Session()
        game = sc_pb.RequestCreateGame(random_seed=seed, local_map=sc_pb.LocalMap(map_path=path), **create)
        game.player_setup.add(type=sc_pb.Participant)
        if path.startswith("Melee"):
            setup = computer or sc_pb.PlayerSetup(race=2, difficulty=sc_pb.VeryEasy)
            setup.type = sc_pb.Computer
            game.player_setup.append(setup)
        assert not self.ask(create_game=game).create_game.HasField("error")
        options = sc_pb.InterfaceOptions(raw=True, score=True)
        assert not self.ask(join_game=sc_pb.RequestJoinGame(race=4, options=options)).join_game.HasField("error")

    def tell(self, **request: Any) -> sc_pb.Response:
        """Send a request, whatever comes of it."""
        return sc_pb.Response.FromString(respond(self.session, sc_pb.Request(**request).SerializeToString()))

    def ask(self, **request: Any) -> sc_pb.Response:
        """Send a request that must be served."""
        response = self.tell(**request)
        assert not response.error, response.error
        return response

    def step(self, count: int = 1) -> None:
        """Let time pass."""
        self.ask(step=sc_pb.RequestStep(count=count))

    def see(self) -> sc_pb.ResponseObservation:
        """Observe."""
        return self.ask(observation=sc_pb.RequestObservation()).observation

    def units(self, unit_type: int, alliance: int = raw_pb2.Self) -> list[raw_pb2.Unit]:
        """The units of a type that are seen."""
        return [u for u in self.see().observation.raw_data.units if u.unit_type == unit_type and u.alliance == alliance]

    def command(self, ability: int, unit: raw_pb2.Unit, x: float = 0.0, y: float = 0.0) -> int:
        """Command a unit; the ``ActionResult``."""
        action = sc_pb.Action()
        order = action.action_raw.unit_command
        order.ability_id = ability
        order.unit_tags.append(unit.tag)
        if x:
            order.target_world_space_pos.x, order.target_world_space_pos.y = x, y
        return self.ask(action=sc_pb.RequestAction(actions=[action])).action.result[0]
