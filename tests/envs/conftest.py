"""A folder with the stand-in game installed."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("websockets")
    pytest.importorskip("s2clientprotocol.sc2api_pb2")
    from envs.standin.protocol.install import install
    from envs.standin.warm import load_kernels

    load_kernels()  # or the first processes compile them, each for itself
    return install(tmp_path_factory.mktemp("game") / "StarCraftII").folder
