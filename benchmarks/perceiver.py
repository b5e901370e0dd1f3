"""Times the Perceiver IO encoder against other implementations, in one run and in turn.

    python -m benchmarks.perceiver [--threads 1] [--rounds 15] [--configs small mid]

Every round times each implementation once, so that a busy machine slows all of them alike; ratios are per round, to
transformers' time in the same round, and their median is given. On a CPU with one thread it is processor time.
transformers (Hugging Face) is required; perceiver-pytorch (lucidrains) and perceiver-io (krasserm) are timed if they
can be imported. With `--device cuda` ours is compiled and runs in bfloat16 with flash attention. Ours, transformers and
krasserm compute the same formula with the same widths; lucidrains' has a four times wider gated MLP.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from perceiver_policy.core.cost import cost
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.products import linear


@dataclass(frozen=True)
class Config:
    """Shapes of one comparison."""

    batch: int
    inputs: int
    input_width: int
    latents: int
    width: int
    layers: int
    heads: int


Key = TypeVar("Key")
CONFIGS = {"small": Config(32, 512, 128, 64, 128, 4, 4), "mid": Config(8, 1024, 256, 128, 512, 6, 8)}


def ours(c: Config) -> nn.Module:
    return Encoder(
        c.input_width,
        latents=c.latents,
        latent_width=c.width,
        self_attends=c.layers,
        cross_heads=c.heads,
        self_heads=c.heads,
    )


def transformers(c: Config) -> nn.Module:
    from transformers import PerceiverConfig, PerceiverModel

    config = PerceiverConfig(
        num_latents=c.latents,
        d_latents=c.width,
        d_model=c.input_width,
        num_self_attends_per_block=c.layers,
        num_self_attention_heads=c.heads,
        num_cross_attention_heads=c.heads,
        attention_probs_dropout_prob=0.0,
    )
    return Call(PerceiverModel(config), lambda model, x: model(x).last_hidden_state)


def krasserm(c: Config) -> nn.Module:
    from perceiver.model.core.adapter import InputAdapter
    from perceiver.model.core.modules import PerceiverEncoder

    class AsTheyAre(InputAdapter):
        def forward(self, x: Tensor) -> Tensor:
            return x

    return PerceiverEncoder(
        AsTheyAre(c.input_width),
        c.latents,
        c.width,
        num_cross_attention_heads=c.heads,
        num_self_attention_heads=c.heads,
        num_cross_attention_qk_channels=c.input_width,
        num_self_attention_layers_per_block=c.layers,
    )


def lucidrains(c: Config) -> nn.Module:
    from perceiver_pytorch import PerceiverIO

    return PerceiverIO(
        depth=c.layers,
        dim=c.input_width,
        queries_dim=c.width,
        num_latents=c.latents,
        latent_dim=c.width,
        cross_heads=c.heads,
        latent_heads=c.heads,
        cross_dim_head=c.input_width // c.heads,
        latent_dim_head=c.width // c.heads,
    )


class Call(nn.Module):
    """A module whose result is a part of another's."""

    def __init__(self, module: nn.Module, call: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, x: Tensor) -> Any:
        return self.call(self.module, x)


BUILDERS = {"transformers": transformers, "ours": ours, "krasserm": krasserm, "lucidrains": lucidrains}


def available() -> dict[str, Callable[[Config], nn.Module]]:
    tiny = Config(1, 4, 8, 2, 8, 1, 1)
    found: dict[str, Callable[[Config], nn.Module]] = {}
    for name, build in BUILDERS.items():
        try:
            build(tiny)
            found[name] = build
        except ImportError as error:
            print(f"{name} left out: {error}")
    return found


def seconds(run: Callable[[], Any]) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 and not torch.cuda.is_available() else time.perf_counter
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = clock()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def matmul_peak(dtype: torch.dtype, device: str, size: int = 1024) -> float:
    """Best of 7 multiplications of square matrices, in GFLOP/s, by the faster of PyTorch's libraries."""
    size = 8192 if device == "cuda" else size
    a = torch.randn(size, size, device=device, dtype=dtype)
    ways: list[Callable[[], Any]] = [lambda: a @ a]
    if device == "cpu" and dtype == torch.float32:
        ways.append(lambda: linear(a, a))
    return max(2 * size**3 / seconds(way) for way in ways for _ in range(7)) / 1e9


def forward(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            model(x)

    return run


def forward_backward(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            out = model(x)
        out.float().square().mean().backward()

    return run


def measure(runs: dict[Key, Callable[[], None]], rounds: int) -> dict[Key, list[float]]:
    for run in runs.values():
        run()
        run()
    times: dict[Key, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return times


def table(name: str, args: argparse.Namespace, builders: dict[str, Callable[[Config], nn.Module]]) -> None:
    config, device = CONFIGS[name], args.device
    x = torch.randn(config.batch, config.inputs, config.input_width, device=device)
    models: dict[str, nn.Module] = {}
    for who, build in builders.items():
        torch.manual_seed(0)
        models[who] = build(config).to(device)
        if device == "cuda" and who == "ours":
            models[who].compile()
    counted = cost(ours(config), torch.empty(x.shape))
    print(f"\n{name}: {config}\nours: {counted}")
    print("| implementation | precision | pass | median ms | best ms | x transformers float32 | share of matmul peak |")
    print("|---|---|---|---|---|---|---|")
    for label, make, flops in (
        ("forward", forward, counted.forward),
        ("forward + backward", forward_backward, counted.forward + counted.backward),
    ):
        runs = {
            (who, dtype): make(model, x, dtype)
            for who, model in models.items()
            for dtype in (torch.float32, torch.bfloat16)
        }
        peaks = {dtype: matmul_peak(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
        times = measure(runs, args.rounds)
        base = times["transformers", torch.float32]
        for (who, dtype), spent in times.items():
            ratio = statistics.median(a / b for a, b in zip(spent, base, strict=True))
            peaks[dtype] = max(peaks[dtype], matmul_peak(dtype, device))
            share = f"{flops / min(spent) / 1e9 / peaks[dtype]:.0%}" if who == "ours" else ""
            kind = str(dtype).removeprefix("torch.")
            print(
                f"| {who} | {kind} | {label} | {1e3 * statistics.median(spent):.1f} | {1e3 * min(spent):.1f} "
                f"| {ratio:.2f} | {share} |"
            )
        rates = ", ".join(f"{str(d).removeprefix('torch.')} {p:.0f} GFLOP/s" for d, p in peaks.items())
        best = min(times["ours", torch.bfloat16 if device == "cuda" else torch.float32])
        print(f"matmul peak in this run: {rates}; ours: {config.batch * config.inputs / best:,.0f} input tokens/s")


def check_flash() -> None:
    """Runs our encoder with the flash kernel as the only one allowed: an error says that it is not used."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    config = CONFIGS["small"]
    x = torch.randn(config.batch, config.inputs, config.input_width, device="cuda")
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), torch.autocast("cuda", torch.bfloat16):
        ours(config).cuda()(x)
    print("flash attention in use")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--configs", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads, {args.rounds} rounds")
    if args.device == "cuda":
        check_flash()
    builders = available()
    for name in args.configs:
        table(name, args, builders)


if __name__ == "__main__":
    main()
