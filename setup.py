"""What pyproject.toml cannot say: every package is found, and the experiments in configs/ travel with `agents`."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(
            include=[
                f"{name}{rest}"
                for name in ("agents", "envs", "perceiver_policy", "perceiver_rl")
                for rest in ("", ".*")
            ]
        ),
        "agents.configs",
    ],
    package_dir={"agents.configs": "configs"},
    package_data={
        "": ["py.typed"],
        "agents.configs": ["*.yaml"],
        "envs": ["standin/rules/game_data.tsv", "starcraft/static/static.tsv"],
    },
)
