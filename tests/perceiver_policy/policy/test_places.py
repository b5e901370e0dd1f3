"""Cells that are known by who stands in them: against a slow loop, and what it is worth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gymnasium import spaces

from envs.spaces import Feature, Place, Units
from envs.starcraft.maps import interface_for
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy

N, HEIGHT, WIDTH = 6, 24, 36
UNITS = Units(N, [Feature("x", "position", 64.0), Feature("worth"), Feature("y", "position", 32.0)])
SPACE = spaces.Dict({"units": UNITS})
CLICK = Place(None, HEIGHT, WIDTH, units="units")
SIZES = {"latents": 3, "token_width": 16, "latent_width": 16}


def observe(batch: int, generator: torch.Generator) -> dict[str, Any]:
    features = torch.rand(batch, N, 3, generator=generator) * torch.tensor([64.0, 1.0, 32.0])
    there = torch.rand(batch, N, generator=generator) < 0.8
    there[:, 0] = True
    return {"units": {"features": features, "mask": there.to(torch.int8)}}


def cell(x: float, y: float) -> int:
    return min(int(y / 32 * HEIGHT), HEIGHT - 1) * WIDTH + min(int(x / 64 * WIDTH), WIDTH - 1)


def test_a_cell_counts_as_the_sum_over_who_stands_in_it() -> None:
    torch.manual_seed(0)
    policy = PerceiverPolicy(SPACE, CLICK, PolicyConfig(**SIZES, scatter=True))
    seen = observe(5, torch.Generator().manual_seed(1))
    seen["units"]["features"][0, :3] = torch.tensor([20.0, 0.5, 9.0])  # three in one cell
    seen["units"]["features"][1, 0] = torch.tensor([64.0, 0.5, 32.0])  # at the map's last corner
    seen["units"]["features"][seen["units"]["mask"] == 0] = float("nan")  # what is there where no unit is means nothing
    standing = policy.outputs.heads[0].standing
    tokens, answers = policy.inputs(seen), torch.randn(5, 16)
    found = standing(answers, tokens).detach()
    asked, elements = standing.ask(answers).detach(), tokens.elements["units"].detach()
    expected = torch.zeros(5, HEIGHT * WIDTH)
    for game in range(5):
        for unit in range(N):
            if seen["units"]["mask"][game, unit]:
                x, _, y = (float(v) for v in seen["units"]["features"][game, unit])
                expected[game, cell(x, y)] += float(elements[game, unit] @ asked[game]) / 4
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    # the first of several observations are what they are alone
    torch.testing.assert_close(standing(answers[:2], tokens.first(2)).detach(), found[:2])


def test_who_is_worth_most_is_clicked_on() -> None:
    """Shown where the unit of most worth stands, a policy finds it by who stands there, and not by numbers alone."""
    right = {}
    for scatter in (True, False):
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(2)
        policy = PerceiverPolicy(SPACE, CLICK, PolicyConfig(**SIZES, scatter=scatter))
        optimizer = torch.optim.Adam(policy.parameters(), 4e-3)
        for step in range(201):
            seen = observe(256, generator)
            worth = seen["units"]["features"][..., 1].masked_fill(seen["units"]["mask"] == 0, -1)
            best = seen["units"]["features"][torch.arange(256), worth.argmax(1)]
            action = torch.tensor([cell(float(x), float(y)) for x, _, y in best])
            first = torch.ones(256, dtype=torch.bool)
            if step == 200:
                decision, _ = policy.act(seen, policy.initial_memory(256), first, greedy=True)
                right[scatter] = float((decision.action == action).float().mean())
                break
            timed = {"units": {name: part[None] for name, part in seen["units"].items()}}
            evaluated = policy.evaluate_actions(timed, action[None], policy.initial_memory(256), first[None])
            optimizer.zero_grad()
            (-evaluated.log_prob.mean()).backward()
            optimizer.step()
    assert right[True] > 0.8
    assert right[False] < 0.5


@pytest.mark.parametrize(
    ("style", "options", "on_screen", "on_minimap"),
    [
        ("feature", {}, "units", None),
        ("raw", {}, None, "units"),
        ("feature", {"unit_features": ["y", "x"]}, None, None),
        ("feature", {"max_units": 0, "unit_features": []}, None, None),
    ],
)
def test_units_stand_where_clicks_go(
    style: str, options: dict[str, Any], on_screen: str | None, on_minimap: str | None
) -> None:
    functions = ("no_op", "Move_screen", "Move_minimap") if style == "feature" else ("no_op", "Move_pt")
    face = interface_for("MoveToBeacon", style=style, **{"functions": functions, **options})
    for name, place in face.action_space.spaces.items():
        if isinstance(place, Place):
            assert place.units == (on_screen if name == "screen" else on_minimap)


@pytest.mark.parametrize("units", ["troops", "number", "flat"])
def test_what_is_no_set_of_units_with_places_is_named(units: str) -> None:
    seen = {"units": UNITS, "number": spaces.Box(-1, 1, (2,)), "flat": Units(2, [Feature("x", "position")])}
    with pytest.raises(ValueError, match=f"Place has units '{units}'"):
        PerceiverPolicy(spaces.Dict(seen), Place(None, 2, 2, units=units), PolicyConfig(scatter=True))
