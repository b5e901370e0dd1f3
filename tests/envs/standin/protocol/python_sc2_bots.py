"""Bots for python-sc2, written against its public API alone.

``python python_sc2_bots.py MAP [SECONDS]`` plays a game, or its first seconds, and prints how it went.
"""

import json
import logging
import sys

from loguru import logger
from sc2 import maps
from sc2.bot_ai import BotAI
from sc2.data import Race
from sc2.ids.unit_typeid import UnitTypeId
from sc2.main import run_game
from sc2.player import Bot


class CollectMineralShards(BotAI):
    """Each marine to the shard nearest to it that is not the other's."""

    async def on_step(self, iteration: int) -> None:
        shards = {u for u in self.all_units if u.type_id == UnitTypeId.NATURALMINERALS}
        for marine in self.units(UnitTypeId.MARINE):
            if shards:
                nearest = min(shards, key=marine.distance_to)
                shards.discard(nearest)
                marine.move(nearest.position)


class DefeatRoaches(BotAI):
    """All marines on the roach that has the least hit points left."""

    async def on_step(self, iteration: int) -> None:
        roaches = self.enemy_units(UnitTypeId.ROACH)
        if roaches:
            weakest = min(roaches, key=lambda roach: (roach.health, roach.tag))
            for marine in self.units(UnitTypeId.MARINE):
                marine.attack(weakest)


class BuildMarines(BotAI):
    """Workers, depots, barracks, marines."""

    async def on_step(self, iteration: int) -> None:
        base = self.townhalls.first
        workers = self.workers.amount + self.already_pending(UnitTypeId.SCV)
        if workers < 16 and base.is_idle and self.can_afford(UnitTypeId.SCV):
            base.train(UnitTypeId.SCV)
        barracks = self.structures(UnitTypeId.BARRACKS)
        short = self.supply_left < 3 * max(1, barracks.amount)
        if short and self.can_afford(UnitTypeId.SUPPLYDEPOT) and self.already_pending(UnitTypeId.SUPPLYDEPOT) < 2:
            await self.build(UnitTypeId.SUPPLYDEPOT, near=base.position.offset((9, 0)))
        elif (
            self.structures(UnitTypeId.SUPPLYDEPOT).ready
            and self.can_afford(UnitTypeId.BARRACKS)
            and barracks.amount + self.already_pending(UnitTypeId.BARRACKS) < 5
        ):
            await self.build(UnitTypeId.BARRACKS, near=base.position.offset((8, 3)))
        for building in barracks.ready.idle:
            if self.can_afford(UnitTypeId.MARINE):
                building.train(UnitTypeId.MARINE)
        for worker in self.workers.idle:
            worker.gather(self.mineral_field.closest_to(base))


BOTS = {bot.__name__: bot for bot in (CollectMineralShards, DefeatRoaches, BuildMarines)}


def main() -> None:
    logger.remove()
    logging.disable(logging.CRITICAL)
    name = sys.argv[1]
    bot = BOTS[name]()
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else None
    result = run_game(maps.get(name), [Bot(Race.Terran, bot)], realtime=False, random_seed=1, game_time_limit=limit)
    score = bot.state.observation.score.score
    print(json.dumps({"result": result.name, "score": score, "loop": bot.state.game_loop}))


if __name__ == "__main__":
    main()
