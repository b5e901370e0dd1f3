"""The view of one game against the batch that it is."""

import numpy as np
from gymnasium.utils.env_checker import check_env

from envs.standin.single_env import StandinEnv
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS


def test_gymnasiums_checker_accepts_it():
    check_env(StandinEnv("MoveToBeacon", render_mode="rgb_array"), skip_render_check=True)


def test_it_is_the_batchs_game():
    for name in MAPS:
        one, batch = StandinEnv(name, max_loops=80), make(name, 1, max_loops=80)
        observation, _ = one.reset(seed=5)
        same, _ = batch.reset(seed=5)
        one.action_space.seed(0)
        for k in range(10):
            assert np.array_equal(observation["units"]["features"], same["units"]["features"][0])
            action = one.action_space.sample()
            observation, reward, terminated, truncated, info = one.step(action)
            same, rewards, *_ = batch.step({n: np.asarray(v)[None] for n, v in action.items()})
            assert reward == rewards[0]
            if terminated or truncated:
                assert k == 9 or terminated
                assert info["loop"] <= 80
                break
        assert one.render().shape[-1] == 3
