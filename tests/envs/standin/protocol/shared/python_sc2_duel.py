"""Two python-sc2 bots against each other, each in a game process of its own.

``python python_sc2_duel.py [crash]`` plays a game, in which the second bot may crash, and prints each one's result.
"""

import asyncio
import json
import logging
import sys

from loguru import logger
from sc2 import maps
from sc2.bot_ai import BotAI
from sc2.data import Race, Result
from sc2.main import run_game
from sc2.player import Bot


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
    asyncio.set_event_loop(asyncio.new_event_loop())
    second = Crash() if sys.argv[1:] == ["crash"] else Idle()
    players = [Bot(Race.Terran, Rush()), Bot(Race.Terran, second)]
    results = run_game(maps.get("Simple64"), players, realtime=False, random_seed=1)
    print(json.dumps([result.name if isinstance(result, Result) else None for result in results]))


if __name__ == "__main__":
    main()
