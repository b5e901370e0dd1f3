"""The scenarios by name and by number."""

SCENARIOS = (
    "MoveToBeacon",
    "CollectMineralShards",
    "DefeatRoaches",
    "DefeatZerglingsAndBanelings",
    "FindAndDefeatZerglings",
    "CollectMineralsAndGas",
    "BuildMarines",
    "Melee",
)
(
    MOVE_TO_BEACON,
    COLLECT_MINERAL_SHARDS,
    DEFEAT_ROACHES,
    DEFEAT_SWARM,
    FIND_ZERGLINGS,
    COLLECT_MINERALS_AND_GAS,
    BUILD_MARINES,
    MELEE,
) = range(len(SCENARIOS))
