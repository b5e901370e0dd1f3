"""Orders for every unit: against enumeration, under permutation, within masks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.spaces import ACTION_MASK, Feature, PerUnit, Place, Planes, Pointer, Units
from perceiver_policy.policy import per_unit
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy

CAPACITY = 4
UNITS = Units(CAPACITY, [Feature("a"), Feature("b")])
ORDERS = PerUnit(
    "units",
    CAPACITY,
    {"keep": (), "attack": ("enemy",), "go": ("place",), "face": ("side", "angle")},
    {
        "enemy": Pointer("units", CAPACITY),
        "place": Place(None, 2, 3),
        "side": spaces.Discrete(2, start=5),
        "angle": spaces.Box(-1, 1, (1,)),
    },
)
MASK = spaces.Dict({"function": spaces.MultiBinary((CAPACITY, 4)), "enemy": spaces.MultiBinary(CAPACITY)})
SPACE = spaces.Dict({"units": UNITS, ACTION_MASK: MASK})


def make(space: spaces.Space[Any] = ORDERS, observed: spaces.Space[Any] = SPACE, **options: Any) -> PerceiverPolicy:
    torch.manual_seed(0)
    policy = PerceiverPolicy(observed, space, PolicyConfig(latents=3, **options))
    for parameter in policy.outputs.parameters():  # far from uniform
        torch.nn.init.normal_(parameter, std=0.5)
    return policy.eval()


def observe(batch: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    units = torch.rand(batch, CAPACITY, generator=generator) < 0.8
    legal = (torch.rand(batch, CAPACITY, 4, generator=generator) < 0.7) & units[..., None]
    enemy = (torch.rand(batch, CAPACITY, generator=generator) < 0.6) & units
    return {
        "units": {"features": torch.randn(batch, CAPACITY, 2, generator=generator), "mask": units.to(torch.int8)},
        ACTION_MASK: {"function": legal.to(torch.int8), "enemy": enemy.to(torch.int8)},
    }


def evaluate(policy: PerceiverPolicy, observation: Any, action: Any, **how: Any) -> Any:
    batch = len(observation["units"]["mask"])
    time = lambda nest: {k: time(v) if isinstance(v, dict) else v[None] for k, v in nest.items()}  # noqa: E731
    first = torch.ones(1, batch, dtype=torch.bool)
    return policy.evaluate_actions(time(observation), time(action), policy.initial_memory(batch), first, **how)


def act(policy: PerceiverPolicy, observation: Any, seed: int = 0) -> Any:
    batch = len(observation["units"]["mask"])
    first, generator = torch.ones(batch, dtype=torch.bool), torch.Generator().manual_seed(seed)
    return policy.act(observation, policy.initial_memory(batch), first, generator=generator)[0]


@pytest.mark.parametrize("decode_units", [True, False])
def test_acting_and_evaluating_agree(decode_units: bool) -> None:
    policy, observation = make(decode_units=decode_units), observe(64)
    decision = act(policy, observation)
    evaluated = evaluate(policy, observation, decision.action)
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(evaluated.value[0], decision.value, atol=1e-5, rtol=1e-5)


def test_log_probabilities_alone_are_those_that_come_with_the_entropy() -> None:
    policy, observation = make(), observe(64)
    action, gradients = act(policy, observation).action, []
    for entropy in (True, False):  # where it is not asked for, only units that take an argument are asked about theirs
        policy.zero_grad()
        evaluated = evaluate(policy, observation, action, entropy=entropy)
        assert bool(evaluated.entropy.any()) == entropy
        evaluated.log_prob.sum().backward()
        found = {n: p.grad for n, p in policy.named_parameters() if p.grad is not None and "value" not in n}
        gradients.append(found | {"log_prob": evaluated.log_prob.detach()})
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


def test_what_is_next_to_never_done_is_asked_about_only_where_it_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, other, observation = make(), make(), observe(64)
    for each in (policy, other):
        each.outputs.heads[0].function.weight.data *= 30  # sure of what to do
    other.outputs.heads[0].function.bias.data += torch.tensor([0.0, 1.0, -1.0, 2.0])
    action = act(make(), observation).action  # by another policy: also what this one would not do
    asked, real = [0], per_unit._Joint._given

    def count(self: Any, i: int, function: Any, where: Any = None) -> Any:
        asked[0] += self.ordered.numel() if where is None else len(where[0])
        return real(self, i, function, where)

    monkeypatch.setattr(per_unit._Joint, "_given", count)
    monkeypatch.setattr(per_unit, "DENSE", 1)
    found, numbers = [], []
    for rare in (per_unit.RARE, -math.inf):
        monkeypatch.setattr(per_unit, "RARE", rare)
        asked[0] = 0
        evaluated, reference = (evaluate(each, observation, action) for each in (policy, other))
        found.append((evaluated.log_prob, evaluated.entropy, evaluated.divergence(reference)))
        numbers.append(asked[0])
    torch.testing.assert_close(found[0], found[1], atol=2e-5, rtol=1e-5)
    assert found[0][0].min() < math.log(1e-6)
    assert numbers[0] < 0.8 * numbers[1]


def test_what_is_chosen_is_legal_and_what_is_not_used_is_zero() -> None:
    policy, observation = make(), observe(512)
    orders, masks = act(policy, observation).action, observation[ACTION_MASK]
    function, legal = orders["function"], masks["function"].bool()
    possible = masks["enemy"].bool().any(1)
    legal[..., 1] &= possible[:, None]  # an attack needs somebody to attack
    ordered = legal.any(-1)
    assert not function[~ordered].any()
    assert legal[ordered].gather(1, function[ordered][:, None]).all()
    assert masks["enemy"].bool().gather(1, orders["enemy"])[(function == 1) & ordered].all()
    for name, taker in (("enemy", 1), ("place", 2), ("side", 3), ("angle", 3)):
        assert not orders[name][~(ordered & (function == taker))].any(), name
    assert len(function.unique()) == 4


DISCRETE = PerUnit(
    "units", CAPACITY, {"keep": (), "attack": ("enemy",), "go": ("place",), "build": ("place",)},
    {"enemy": Pointer("units", CAPACITY), "place": Place(None, 1, 2)},
)  # fmt: skip


SHOWN = PerUnit("units", CAPACITY, DISCRETE.functions, {"enemy": DISCRETE.each["enemy"], "place": Place("map", 1, 2)})
MAPPED = spaces.Dict({**SPACE, "map": Planes(1, 2, [Feature("marked")])})


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("by_units", [True, False])
def test_probabilities_entropy_and_divergence_are_those_of_enumeration(
    by_units: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_units:
        monkeypatch.setattr(per_unit, "DENSE", 1)
    else:  # as on a GPU
        monkeypatch.setattr(per_unit, "_few", lambda units: None)
    policy, other = (make(SHOWN, MAPPED, patch=1) if shown else make(DISCRETE) for _ in range(2))
    torch.manual_seed(1)
    for parameter in other.outputs.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    observation = observe(1, seed=3)
    if shown:
        observation["map"] = torch.tensor([[[[0.5], [-2.0]]]])
    observation[ACTION_MASK]["function"] = torch.tensor([[[1, 1, 1, 1], [0] * 4, [1, 1, 0, 1], [1] * 4]])
    observation[ACTION_MASK]["enemy"] = torch.tensor([[1, 0, 1, 0]])
    observation["units"]["mask"] = torch.tensor([[1, 1, 1, 0]])  # the last row holds nobody
    choices = [
        [(0, 0, 0), (1, 0, 0), (1, 2, 0), (2, 0, 0), (2, 0, 1), (3, 0, 0), (3, 0, 1)],
        [(0, 0, 0)],
        [(0, 0, 0), (1, 0, 0), (1, 2, 0), (3, 0, 0), (3, 0, 1)],
        [(0, 0, 0)],
    ]
    every = torch.tensor(list(itertools.product(*choices)))  # [n, rows, 3]
    action = {name: every[..., i] for i, name in enumerate(("function", "enemy", "place"))}
    mine, theirs = (evaluate(p, repeat(observation, len(every)), action) for p in (policy, other))
    log_p, log_q = mine.log_prob[0].detach(), theirs.log_prob[0].detach()
    p, q = log_p.exp(), log_q.exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    assert float(mine.entropy[0, 0]) == pytest.approx(float(-(p * log_p).sum()), abs=1e-4)
    assert float(mine.divergence(theirs)[0, 0]) == pytest.approx(float((q * (log_q - log_p)).sum()), abs=1e-4)
    acted = act(policy, repeat(observation, 20_000))
    drawn = acted.action
    index = {tuple(map(tuple, row)): i for i, row in enumerate(every.tolist())}
    rows = torch.stack([drawn[name] for name in ("function", "enemy", "place")], -1).tolist()
    which = np.array([index[tuple(map(tuple, row))] for row in rows])
    np.testing.assert_allclose(acted.log_prob, log_p[which], atol=1e-5)
    counts = np.bincount(which, minlength=len(every))
    np.testing.assert_allclose(counts / 20_000, p.numpy(), atol=4 / math.sqrt(20_000))


def test_a_place_is_chosen_by_what_a_map_shows_there() -> None:
    """Of 16 cells the marked one, which the single latent need not tell where it is."""
    torch.manual_seed(0)
    go = PerUnit("units", CAPACITY, {"go": ("place",)}, {"place": Place("map", 4, 4)})
    seen = spaces.Dict({"units": UNITS, "map": Planes(4, 4, [Feature("marked")])})
    policy = PerceiverPolicy(seen, go, PolicyConfig(latents=1, token_width=8, latent_width=8, patch=4))
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)
    observation = {"units": observe(16)["units"], "map": torch.eye(16).view(16, 4, 4, 1)}
    observation["units"]["mask"][:] = torch.tensor([1, 1, 0, 0])
    place = torch.arange(16)[:, None] * torch.tensor([1, 1, 0, 0])
    action = {"function": torch.zeros_like(place), "place": place}
    for _ in range(60):
        loss = -evaluate(policy, observation, action, entropy=False).log_prob.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.4  # nats, of two units; 2 log 16 is 5.5


def test_the_right_place_depends_on_what_is_done_there() -> None:
    """Whoever goes, goes to one place, whoever builds, builds at the other: chosen apart, the best is 2 log 2."""
    torch.manual_seed(0)
    policy = PerceiverPolicy(SPACE, DISCRETE, PolicyConfig(latents=2))
    observation = observe(8)
    observation["units"]["features"][:], observation["units"]["mask"][:] = 0, torch.tensor([1, 0, 0, 0])
    observation[ACTION_MASK]["function"] = torch.tensor([[0, 0, 1, 1], [0] * 4, [0] * 4, [0] * 4]).expand(8, 4, 4)
    build = (torch.arange(8) % 2)[:, None] * torch.tensor([1, 0, 0, 0])
    action = {"function": build + 2, "enemy": torch.zeros_like(build), "place": build}
    optimizer = torch.optim.Adam(policy.parameters(), 5e-3)
    for _ in range(60):
        loss = -evaluate(policy, observation, action, entropy=False).log_prob.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert math.log(2) - 1e-3 < float(loss) < math.log(2) + 0.1


def test_weights_from_before_arguments_knew_their_function_say_what_they_said() -> None:
    policy, observation = make(DISCRETE), observe(32)
    torch.nn.init.zeros_(policy.outputs.heads[0].told.write.weight)
    torch.nn.init.zeros_(policy.outputs.heads[0].told.write.bias)
    old = {name: value for name, value in policy.state_dict().items() if ".told." not in name}
    policy.outputs.heads[0].told = None
    before = act(policy, observation)
    after = make(DISCRETE)
    after.load_state_dict(old)
    for mine, theirs in zip(vars(act(after, observation)).values(), vars(before).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    evaluate(after, observation, before.action).log_prob.sum().backward()
    assert after.outputs.heads[0].told.write.weight.grad.any()  # and they can learn


def repeat(nest: Any, count: int) -> Any:
    if isinstance(nest, dict):
        return {k: repeat(v, count) for k, v in nest.items()}
    return nest.expand(count, *nest.shape[1:])


@pytest.mark.parametrize("decode_units", [True, False])
def test_units_permuted_orders_permuted(decode_units: bool) -> None:
    policy, observation = make(decode_units=decode_units), observe(32)
    order = torch.tensor([2, 0, 3, 1])
    moved = {
        "units": {k: v[:, order] for k, v in observation["units"].items()},
        ACTION_MASK: {k: v[:, order] for k, v in observation[ACTION_MASK].items()},
    }
    action = act(policy, observation).action
    other = {k: v[:, order] for k, v in action.items()}
    where = torch.argsort(order)  # row -> its new row
    attacks = other["function"] == 1
    other["enemy"] = torch.where(attacks, where[other["enemy"]], 0)
    before, after = evaluate(policy, observation, action), evaluate(policy, moved, other)
    torch.testing.assert_close(after.log_prob, before.log_prob, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.entropy, before.entropy, atol=1e-5, rtol=1e-5)


def test_a_unit_that_is_not_there_changes_nothing() -> None:
    policy, observation = make(), observe(32)
    action = act(policy, observation).action
    before = evaluate(policy, observation, action)
    gone = observation["units"]["mask"] == 0
    observation["units"]["features"][gone] = 1e3
    after = evaluate(policy, observation, action)
    torch.testing.assert_close(after.log_prob, before.log_prob)
    torch.testing.assert_close(after.value, before.value)


def test_the_value_reads_the_latents_alone() -> None:
    policy, observation = make(decode_units=True), observe(8)
    before = act(policy, observation).value
    torch.nn.init.normal_(policy.outputs.unit_keys.weight)
    torch.testing.assert_close(act(policy, observation).value, before)


def test_gradients_reach_every_parameter_and_are_finite() -> None:
    policy, observation = make(), observe(64)
    action = act(policy, observation).action
    evaluated = evaluate(policy, observation, action)
    (evaluated.log_prob.sum() + evaluated.entropy.sum() + evaluated.value.sum()).backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None or name == "outputs.heads.0.embedding.weight", name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_samples_of_the_space_are_in_it_and_within_the_mask() -> None:
    ORDERS.seed(0)
    function = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    for _ in range(50):
        orders = ORDERS.sample({"function": function, "enemy": np.array([0, 0, 1, 0])})
        assert ORDERS.contains(orders)
        assert orders["function"][1] == 0
        assert orders["function"][2] == 3
        assert orders["enemy"][3] == 2
        assert function[[0, 2, 3], orders["function"][[0, 2, 3]]].all()


def test_what_does_not_fit_the_observation_is_named() -> None:
    with pytest.raises(ValueError, match="'unts' is no Units of the observation"):
        make(PerUnit("unts", CAPACITY, {"keep": ()}))
    with pytest.raises(ValueError, match="has 4 rows, not 3"):
        make(PerUnit("units", 3, {"keep": ()}))
    with pytest.raises(ValueError, match="enemy: 'units' has 4 rows, not 2"):
        make(PerUnit("units", CAPACITY, {"hit": ("enemy",)}, {"enemy": Pointer("units", 2)}))
    with pytest.raises(ValueError, match="Place points to 'map', which is no Planes"):
        make(PerUnit("units", CAPACITY, {"go": ("place",)}, {"place": Place("map", 1, 2)}))
    with pytest.raises(ValueError, match="must be a Discrete or a Box of floats"):
        PerUnit("units", CAPACITY, {"hit": ("all",)}, {"all": spaces.MultiBinary(3)})


def test_places_that_nobody_may_choose_cost_nothing_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = spaces.Dict({**MASK.spaces, "place": spaces.MultiBinary(6)})
    policy = make(observed=spaces.Dict({"units": UNITS, ACTION_MASK: mask}))
    observation = observe(32)
    place = torch.zeros(32, 6, dtype=torch.int8)
    place[:, 1:4] = (torch.rand(32, 3, generator=torch.Generator().manual_seed(1)) < 0.7).to(torch.int8)
    place[:, 2] = 1
    observation[ACTION_MASK]["place"] = place
    action = act(policy, observation).action
    gone = action["function"] == 2
    assert gone.any()
    assert place.bool().gather(1, action["place"])[gone].all()

    def told() -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        policy.zero_grad()
        found = evaluate(policy, observation, action)
        (found.log_prob.sum() + found.entropy.sum()).backward()
        return (
            found.log_prob.detach(),
            found.entropy.detach(),
            [p.grad.clone() for p in policy.parameters() if p.grad is not None],
        )

    quick = told()
    monkeypatch.setattr(per_unit, "_legal_anywhere", lambda valid: None)
    plain = told()
    torch.testing.assert_close(quick, plain, atol=1e-4, rtol=1e-4)
