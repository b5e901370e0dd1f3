"""A python-sc2 bot in a game of two: ``python python_sc2_duel.py host rush 5001,5002,5003,5004``.

One program hosts the game, another joins by the same ports (``join``). It prints what it has heard of its result.
(``run_game`` plays both in one program, and kills both games where one bot fails.)
"""

import asyncio
import logging
import sys

from loguru import logger
from sc2 import maps
from sc2.bot_ai import BotAI
from sc2.data import Race
from sc2.main import _host_game, _join_game
from sc2.player import Bot
from sc2.portconfig import Portconfig


class Rush(BotAI):
    """All workers attack."""

    async def on_step(self, iteration: int) -> None:
        for worker in self.workers:
            if not worker.is_attacking:
                worker.attack(self.enemy_start_locations[0])


class Idle(BotAI):
    """Nobody does anything but what they do anyway."""

    async def on_step(self, iteration: int) -> None:
        pass


class Crash(BotAI):
    """It does not get far."""

    async def on_step(self, iteration: int) -> None:
        if iteration == 20:
            raise RuntimeError("on purpose")


def main() -> None:
    logger.remove()
    logging.disable(logging.CRITICAL)
    bot = {"rush": Rush, "idle": Idle, "crash": Crash}[sys.argv[2]]()
    ports = [int(port) for port in sys.argv[3].split(",")]
    joined = Portconfig(server_ports=ports[:2], player_ports=[ports[2:]])
    if sys.argv[1] == "host":
        players = [Bot(Race.Terran, bot), Bot(Race.Terran, Idle())]  # whoever joins: the second is only counted
        game = _host_game(maps.get("Simple64"), players, portconfig=joined, random_seed=1)
    else:
        game = _join_game([Bot(Race.Terran, Idle()), Bot(Race.Terran, bot)], realtime=False, portconfig=joined)
    print(asyncio.run(game).name)


if __name__ == "__main__":
    main()
