"""Several of a set, chosen one by one.

The rows are gone through in order. The first that is taken is a draw among all that may be taken; each next one is a
draw among those after it and an end, by a query to which what was taken so far has been added (as AlphaStar's selected
units, Vinyals et al. 2019, are). Going in one order gives every set one way to come about, so that its probability is
exact and the probabilities of all sets sum to one:

    p(set) = prod over rows r of  p(r is taken or not | what was taken before r).

Among the rows that are left the draw is by stick-breaking: each row in turn is taken with the probability that its own
dot product says, and the end is that none is. A softmax over them could not say "all" of units that look alike: it
shares the probability of the next one among them. With a query that nothing is added to, this is the product of
independent Bernoullis.

Nobody selected is no choice: if nothing was taken before it, the last row that may be taken is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.cost import on_host
from perceiver_policy.policy.distributions import ILLEGAL, Distribution, bernoulli

MOST_SELECTED = 64
"""Rows that are taken at most, as in AlphaStar: it bounds the draws that an action takes."""


class Selection(nn.Module):
    """The distribution over sets of rows, given their keys and a first query."""

    def __init__(self, width: int, most: int = MOST_SELECTED) -> None:
        super().__init__()
        self.most = most
        self.add = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            self.add.weight *= 0.1  # nearly independent at the start

    def forward(self, keys: Tensor, query: Tensor, legal: Tensor, count: int) -> Distribution:
        """Keys [B, n, C], the first query [B, C], legal rows [B, n]; actions are [B, count], count >= n, of 0 and 1.

        Entropy and divergence are those of the draws along an action, given it (``given``): their means over actions
        drawn from here are the exact ones. Where no row is legal the action is all zeros, for certain.
        """
        last = legal & (legal.flip(1).cumsum(1).flip(1) == 1)

        def logits(query: Tensor, some_taken: Tensor) -> Tensor:
            scores = torch.einsum("bnc,bnc->bn", query, keys).float() / math.sqrt(keys.shape[-1])
            return scores.masked_fill(last & ~some_taken, -ILLEGAL).masked_fill(~legal, ILLEGAL)

        def queries(taken: Tensor, number: Tensor) -> Tensor:
            """Of the sum of the keys taken [..., C] and their number [...]."""
            return query.view(query.shape[0], *(1,) * (taken.dim() - 2), -1) + self.add(taken / (1 + number[..., None]))

        def given(action: Tensor) -> Distribution:
            taken = action[:, : keys.shape[1]].to(keys.dtype)
            chosen = taken[..., None] * keys
            before, number = chosen.cumsum(1) - chosen, taken.cumsum(1) - taken
            along = logits(queries(before, number), number > 0).masked_fill(number >= self.most, ILLEGAL)
            return bernoulli(F.pad(along, (0, count - along.shape[1]), value=ILLEGAL), None)

        def draw(threshold: Tensor) -> Tensor:
            """Take each row whose probability exceeds its threshold [B, n]."""
            taken = torch.zeros_like(legal)
            after, place = torch.ones_like(legal), torch.arange(legal.shape[1], device=legal.device)
            total, number = torch.zeros_like(query), query.new_zeros(query.shape[0])
            for _ in range(min(self.most, legal.shape[1])):
                score = logits(queries(total, number)[:, None].expand_as(keys), (number > 0)[:, None])
                may = (score.sigmoid() > threshold) & after
                found, row = may.any(1), may.float().argmax(1)
                if on_host(found) and not found.any():
                    break
                new = (place == row[:, None]) & found[:, None]
                taken, after = taken | new, after & (place > row[:, None]) & found[:, None]
                total, number = total + (new[..., None] * keys).sum(1), number + found
            return F.pad(taken.long(), (0, count - taken.shape[1]))

        def sample(generator: torch.Generator | None) -> Tensor:
            return draw(torch.empty_like(legal, dtype=torch.float32).uniform_(generator=generator))

        def needs_action(*_: object) -> Tensor:
            raise ValueError("the entropy and the divergence of a selection are known along an action (given)")

        return Distribution(
            log_prob=lambda action: given(action).log_prob(action),
            entropy=needs_action,
            sample=sample,
            best=lambda: draw(torch.full(legal.shape, 0.5, device=legal.device)),
            parameters=None,
            divergence=needs_action,
            given=given,
        )
