"""The policy: observation -> tokens -> latents -> queries -> action and value."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import optree
import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.spaces import ACTION_MASK, Keys, PerUnit, Pointers, leaves
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.inputs import Inputs, Tokens
from perceiver_policy.policy.memory import make_memory
from perceiver_policy.policy.noise import LastingNoise
from perceiver_policy.policy.outputs import ActionEvaluation, Decision, Outputs, action_leaves
from perceiver_policy.policy.trim import Trim
from perceiver_policy.policy.trunk import Trunk
from perceiver_policy.registry import NETWORKS


def _precisely(method: Any) -> Any:
    """In the precision that the policy's layers compute in."""

    @functools.wraps(method)
    def called(self: PerceiverPolicy, *args: Any, **kwargs: Any) -> Any:
        if self.config.precision == "float32":
            return method(self, *args, **kwargs)
        device = next(self.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, cache_enabled=False):  # a graph finds no other's cached casts
            return method(self, *args, **kwargs)

    return called


class PerceiverPolicy(nn.Module):
    """A Perceiver IO actor-critic for any supported pair of spaces (see `inputs` and `outputs`).

    Observations and actions are nests (dicts and tuples) of tensors. The memory is a tensor [B, ...], empty ([B, 0])
    without memory; ``first`` [B] marks an episode's first observation, before which the memory is reset. Noise that
    lasts (`noise`) is carried in it, last.
    Raises ValueError, naming the part, for a space that it cannot read or choose from.
    """

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], config: PolicyConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.observation_space, self.action_space = observation_space, action_space
        self.masked = isinstance(observation_space, spaces.Dict) and ACTION_MASK in observation_space.spaces
        self.inputs = Inputs(
            observation_space,
            config.token_width,
            bands=config.position_bands,
            neighborhood=config.neighborhood,
            patch=config.patch,
            distances=config.distances,
            scatter=config.scatter,
            unread=_masks_of_units(observation_space, action_space),
            read=config.model_dump()["read"],
        )
        self.trim = Trim(observation_space, _masks_of_orders(action_space))
        self.encoder = make_encoder(config, self.inputs.most)
        self.memory = make_memory(
            config.memory,
            latents=config.latents,
            latent_width=config.latent_width,
            window=config.window,
            tokens=self.inputs.most,
            width=config.token_width,
            reads=config.cross_attends if isinstance(self.encoder, Encoder) else 1,
        )
        self.outputs = Outputs(
            action_space,
            observation_space,
            width=config.token_width,
            latent_width=config.latent_width,
            heads=config.heads,
            widening=config.widening,
            bands=config.position_bands,
            decode_units=config.decode_units,
            distances=config.distances,
            scatter=config.scatter,
            deviation=config.deviation,
            bounds=config.bounds,
            rows=self.inputs.tables(),
        )

        size = sum(self.outputs.noise_sizes()) if config.noise_correlation else 0
        self.noise = LastingNoise(size, config.noise_correlation) if size else None

    def reset_buffers(self) -> None:
        """Computes what is neither learned nor saved (positions, scales, offsets) anew, where the parameters are.

        Leaving the meta device and loading weights with `assign=True` do so by themselves.
        """
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            fresh = PerceiverPolicy(self.observation_space, self.action_space, self.config)
        device, saved = next(self.parameters()).device, set(self.state_dict())
        for (name, module), other in zip(self.named_modules(), fresh.modules(), strict=True):
            for key, value in other.named_buffers(recurse=False):
                if f"{name}.{key}" not in saved:
                    setattr(module, key, value.to(device, getattr(module, key).dtype))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        was_meta = next(self.parameters()).is_meta
        super()._apply(fn, recurse)
        if was_meta and not next(self.parameters()).is_meta:
            self.reset_buffers()
        return self

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """See `torch.nn.Module`."""
        loaded = super().load_state_dict(state_dict, strict, assign)
        if assign:
            self.reset_buffers()
        return loaded

    def initial_memory(self, batch: int) -> Tensor:
        """What an episode starts with."""
        memory = self.memory.initial(batch) if self.memory else torch.zeros(batch, 0)
        if self.noise is None:
            return memory
        return torch.cat((memory.flatten(1), memory.new_zeros(batch, self.noise.size)), 1)

    def _apart(self, carried: Tensor) -> tuple[Tensor, Tensor | None]:
        """The memory, and the noise that is carried with it."""
        if self.noise is None:
            return carried, None
        memory, noise = carried[:, : -self.noise.size], carried[:, -self.noise.size :]
        return memory.unflatten(1, self.memory.initial(1).shape[1:]) if self.memory else memory, noise

    @torch.no_grad()
    @_precisely
    def act(
        self,
        observation: Any,
        memory: Tensor,
        first: Tensor,
        *,
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Decision, Tensor]:
        """Choose for observations [B, ...]; returns the decision and the memory after it.

        ``greedy`` takes each head's likeliest action; otherwise ``generator`` draws it.
        """
        observation = self.trim(observation)
        tokens = self.inputs(observation)
        memory, noise = self._apart(memory)
        latents, memory = self._step(tokens, memory, first)
        if self.noise is not None and noise is not None and not greedy:
            noise = self.noise.next(noise, first, generator)
        decision = self.outputs.act(
            latents, tokens, self._mask(observation), greedy=greedy, generator=generator, noise=noise
        )
        return decision, memory if noise is None else torch.cat((memory.flatten(1), noise), 1)

    @torch.no_grad()
    @_precisely
    def value(self, observation: Any, memory: Tensor, first: Tensor) -> Tensor:
        """Values [B] of observations [B, ...]."""
        tokens = self.inputs(self.trim(observation))
        latents, _ = self._step(tokens, self._apart(memory)[0], first)
        return self.outputs.value(latents)

    def forward(
        self, observation: Any, action: Any = None, memory: Tensor | None = None, first: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The pass of a gradient step, for one step of each game: `cost` and `attention_maps` call it.

        Observations [B, ...], tensors or arrays -> log-probabilities and entropies of the actions, and values, each
        [B]. Without ``action`` every head is asked about its first choice; without ``memory`` episodes begin here.
        """
        observation = optree.tree_map(torch.as_tensor, observation)
        batch = len(optree.tree_leaves(observation)[0])
        if action is None:
            action = optree.tree_map(lambda part: _zeros(part, batch), copy.deepcopy(self.action_space).sample())
        memory = self.initial_memory(batch) if memory is None else memory
        first = torch.ones(batch, dtype=torch.bool) if first is None else first
        observation, action = (optree.tree_map(lambda part: part[None], nest) for nest in (observation, action))
        evaluated = self.evaluate_actions(observation, action, memory, first[None])
        return evaluated.log_prob[0], evaluated.entropy[0], evaluated.value[0]

    @_precisely
    def evaluate_actions(
        self, observation: Any, action: Any, memory: Tensor, first: Tensor, *, entropy: bool = True
    ) -> ActionEvaluation:
        """Log-probabilities, entropies and values [T, B] of known actions in sequences [T, B, ...].

        With one observation more than actions, [T + 1, B, ...], values are [T + 1, B]. ``memory`` [B, ...] is what was
        carried into step 0. Only the latents are scanned over time: everything that depends on the observations alone
        is computed for all of them at once. Without ``entropy`` it is 0.
        """
        observed, batch = first.shape
        flat = optree.tree_map(lambda x: x.flatten(0, 1), self.trim(observation))
        tokens = self.inputs(flat)
        if self.memory is None:
            latents, _ = self._step(tokens, memory, first)
        else:
            latents = self.memory.sequence(self.encoder, tokens, self._apart(memory)[0], first)
        steps = len(optree.tree_leaves(action)[0])
        action = optree.tree_map(lambda x: x.flatten(0, 1), action)
        evaluated = self.outputs.evaluate_actions(latents, tokens, self._mask(flat), action, entropy=entropy)
        return ActionEvaluation(
            evaluated.log_prob.view(steps, batch),
            evaluated.entropy.view(steps, batch),
            evaluated.value.view(observed, batch),
            evaluated.normalized_value.view(observed, batch),
            {path: entropy.view(steps, batch) for path, entropy in evaluated.entropies.items()},
            evaluated.distributions,
        )

    def _step(self, tokens: Tokens, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        if self.memory is None:
            return self.encoder(mask=tokens.mask, keys_values=self.encoder.keys_values(tokens.tokens)), memory
        return self.memory.step(self.encoder, tokens, memory, first)

    def _mask(self, observation: Any) -> Any:
        return observation[ACTION_MASK] if self.masked else None


def make_policy(
    observation_space: spaces.Space[Any], action_space: spaces.Space[Any], config: PolicyConfig
) -> PerceiverPolicy:
    """The policy that ``config`` describes. Raises ValueError, naming what is wrong, where it cannot be made."""
    found = NETWORKS.find(config.network)
    kind = found if isinstance(found, type) and issubclass(found, PerceiverPolicy) else PerceiverPolicy
    return kind(observation_space, action_space, config)


def make_encoder(config: PolicyConfig, tokens: int) -> Any:
    """The Perceiver's encoder, of so many tokens at most, or the network of somebody's own that stands in its place."""
    found = NETWORKS.find(config.network)
    if not (isinstance(found, type) and issubclass(found, PerceiverPolicy)):
        return Trunk(found(config), config)
    encoder = Encoder(
        config.token_width,
        latents=config.latents,
        latent_width=config.latent_width,
        cross_attends=config.cross_attends,
        share_cross_attends=config.share_cross_attends,
        self_attends=config.self_attends,
        share_blocks=config.share_blocks,
        cross_heads=config.cross_heads,
        self_heads=config.heads,
        cross_widening=config.widening,
        self_widening=config.widening,
        project_inputs=config.cross_heads > 1 or tokens <= config.latents,
    )
    return lecun(encoder) if config.initialization == "lecun" else encoder


@torch.no_grad()
def lecun(module: nn.Module) -> nn.Module:
    """Draws the linear layers of a module anew: weights uniform, of variance 1 / inputs, biases zero (LeCun, Bottou,
    Orr and Mueller 1998, Efficient BackProp, section 4.6)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def _masks_of_units(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> set[Keys]:
    """Where the masks of orders are: a row a unit, so that as one vector they would tell the units' order; and those of
    arguments that have a row for each function."""
    single = [leaf for leaf in action_leaves(action_space) if isinstance(leaf.space, spaces.Discrete | Pointers)]
    roots = _masks_of_orders(action_space)
    rows = [(ACTION_MASK, *leaf.keys) for leaf in single]
    found = {keys for keys, _ in leaves(observation_space) for root in roots if keys[: len(root)] == root}
    return found | {keys for keys, part in leaves(observation_space) if keys in rows and len(part.shape or ()) == 2}


def _masks_of_orders(action_space: spaces.Space[Any]) -> list[Keys]:
    return [(ACTION_MASK, *leaf.keys) for leaf in action_leaves(action_space) if isinstance(leaf.space, PerUnit)]


def _zeros(part: Any, batch: int) -> Tensor:
    part = np.asarray(part)
    kind = torch.float32 if np.issubdtype(part.dtype, np.floating) else torch.int64
    return torch.zeros((batch, *part.shape), dtype=kind)
