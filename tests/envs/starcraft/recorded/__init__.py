"""Messages that the real game sent, from the folder that PERCEIVER_RL_TEST_DATA names."""

import gzip
import os
from functools import cache
from pathlib import Path

import pytest

MAPS = ("16-BitLE", "AcropolisLE", "AltitudeAIE", "GoldenauraAIE")


def folder():
    place = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not place:
        pytest.skip("PERCEIVER_RL_TEST_DATA is not set: no recordings of the real game here")
    return Path(place) / "real_game"


@cache
def ladder(name):
    """The first observation of a game on a ladder map, and the game's description."""
    from s2clientprotocol import sc2api_pb2 as messages

    place = folder() / name
    observation = messages.ResponseObservation.FromString(gzip.decompress((place / "observation.pb.gz").read_bytes()))
    info = messages.Response.FromString(gzip.decompress((place / "game_info.pb.gz").read_bytes())).game_info
    return observation, info


@cache
def with_layers():
    """An observation with feature layers, 128 cells wide and high."""
    from google.protobuf import text_format
    from s2clientprotocol import sc2api_pb2 as messages

    text = gzip.decompress((folder() / "feature_layers_observation.pbtxt.gz").read_bytes()).decode()
    return text_format.Parse(text, messages.ResponseObservation())


@cache
def data():
    """All units, abilities and so on of a game."""
    from s2clientprotocol import sc2api_pb2 as messages

    return messages.Response.FromString(gzip.decompress((folder() / "16-BitLE" / "data.pb.gz").read_bytes())).data
