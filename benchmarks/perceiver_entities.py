"""The StarCraft entity encoder of the Perceiver IO paper beside the entity Transformer it replaced: arithmetic and
time.

    python -m benchmarks.perceiver_entities [--threads 1] [--rounds 9] [--batch 8]

The Transformer is AlphaStar's as the Perceiver IO paper describes it (arXiv 2107.14795, appendix B): 3 layers, 2 heads
of 128 channels, projected to 256, then an MLP of 1,024; its paper counts 3.3 GFLOP for 512 entities, and 0.93 for the
Perceiver IO.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.perceiver import forward, forward_backward, measure
from perceiver_policy.core.cost import cost
from perceiver_policy.family.presets import entity_encoder

ENTITIES = 512


class Layer(nn.Module):
    """One pre-norm layer of the entity Transformer."""

    def __init__(self, width: int = 256, heads: int = 2, head_width: int = 128, hidden: int = 1024) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * heads * head_width)
        self.output = nn.Linear(heads * head_width, width)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projected = self.query_key_value(self.first_norm(x)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(queries, keys, values, mask[:, None, None])
        x = x + self.output(seen.transpose(1, 2).flatten(2))
        return x + self.outer(F.relu(self.inner(self.second_norm(x))))


class EntityTransformer(nn.Module):
    """Entities `[B, M, 256]` and mask -> `[B, M, 256]`."""

    def __init__(self, features: int = 256, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(features) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Masked(nn.Module):
    """A model with its mask, to be called with entities alone."""

    def __init__(self, model: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.model, self.mask = model, mask

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, self.mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models = {"AlphaStar's Transformer": (EntityTransformer(), 256), "Perceiver IO": (entity_encoder(), 128)}
    one = {
        name: cost(model, torch.empty(1, ENTITIES, width), torch.ones(1, ENTITIES, dtype=torch.bool))
        for name, (model, width) in models.items()
    }
    mask = torch.ones(args.batch, ENTITIES, dtype=torch.bool)
    inputs = {name: torch.randn(args.batch, ENTITIES, width) for name, (_, width) in models.items()}
    times = {}
    for label, make in (("forward", forward), ("forward + backward", forward_backward)):
        runs = {name: make(Masked(m, mask), inputs[name], torch.float32) for name, (m, _) in models.items()}
        times[label] = measure(runs, args.rounds)
    print(f"{ENTITIES} entities, batch {args.batch}, {args.threads} threads, float32")
    print("| encoder | parameters | GFLOP forward, one game | forward ms | forward + backward ms |")
    print("|---|---|---|---|---|")
    for name, found in one.items():
        ms = [1e3 * statistics.median(times[label][name]) for label in times]
        print(f"| {name} | {found.parameters / 1e6:.2f} M | {found.forward / 1e9:.2f} | {ms[0]:.1f} | {ms[1]:.1f} |")
    first, second = models
    for label, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent[first], spent[second], strict=True))
        print(f"{label}: the Transformer takes {ratio:.1f} times as long (median of paired ratios)")
    print(f"arithmetic: the Transformer takes {one[first].forward / one[second].forward:.1f} times as much")


if __name__ == "__main__":
    main()
