"""Time and memory against the number of inputs, the Perceiver beside a Transformer: a table and a plot.

    python -m benchmarks.perceiver_scaling [--threads 1] [--output docs/images/perceiver-scaling.png]

Each point is the best processor time of up to five forward and backward passes of batch one in a process of its own;
memory is the peak of that process less what it held before. Both models have width 64 and two latent or Transformer
layers; the Perceiver has 64 latents. The Transformer stops where a pass would take minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import SelfAttention
from perceiver_policy.core.encoder import Encoder

WIDTH = 64
SIZES = {
    "Perceiver": (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000),
    "Transformer": (1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
}


class Transformer(nn.Module):
    """Two layers in which all inputs attend to all."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(SelfAttention(WIDTH, heads=4) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def point(name: str, inputs: int) -> dict[str, float]:
    torch.manual_seed(0)
    model = Transformer() if name == "Transformer" else Encoder(WIDTH, latents=64, latent_width=WIDTH, self_attends=2)
    x = torch.randn(1, inputs, WIDTH, requires_grad=True)
    model(x[:, :100]).sum().backward()  # threads, buffers and code are in place before anything is measured
    x.grad = None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times: list[float] = []
    while len(times) < 5 and sum(times) < 5:
        x.grad = None
        model.zero_grad()
        start = time.process_time()
        model(x).square().mean().backward()
        times.append(time.process_time() - start)
    return {"seconds": min(times), "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def plot(rows: list[dict[str, float | str]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    for axis, key, label in ((axes[0], "seconds", "processor seconds"), (axes[1], "mib", "peak memory, MiB")):
        for name, color in (("Perceiver", "tab:blue"), ("Transformer", "tab:orange")):
            own = [row for row in rows if row["model"] == name]
            axis.loglog(
                [r["inputs"] for r in own], [max(float(r[key]), 0.1**3) for r in own], "o-", color=color, label=name
            )
        axis.set(xlabel="inputs", ylabel=label)
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    figure.suptitle("One forward and backward pass, CPU")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--largest", type=int, default=1_000_000, help="leave out larger numbers of inputs")
    parser.add_argument("--output", type=Path, default=Path("docs/images/perceiver-scaling.png"))
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.point:
        print(json.dumps(point(args.point[0], int(args.point[1]))))
        return
    rows: list[dict[str, float | str]] = []
    print("| model | inputs | processor seconds | peak MiB |\n|---|---|---|---|")
    for name, sizes in SIZES.items():
        for inputs in sizes:
            if inputs > args.largest:
                continue
            command = [sys.executable, "-m", "benchmarks.perceiver_scaling", "--threads", str(args.threads)]
            done = subprocess.run([*command, "--point", name, str(inputs)], capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"model": name, "inputs": inputs, **found})
            print(f"| {name} | {inputs:,} | {found['seconds']:.3f} | {found['mib']:.0f} |", flush=True)
    plot(rows, args.output)
    print(f"plot: {args.output}")


if __name__ == "__main__":
    main()
