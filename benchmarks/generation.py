"""Perceiver AR writing on: time a token against the length of the context, with the cache and without.

    python -m benchmarks.generation [--threads 1] [--rounds 5]

A step of the cache reads the context's keys and values once and runs one latent through the stack; the time is meant
to be flat in the length of the context. Every round times half as many steps as there are latents at every length in
turn, from one making anew of the latents to the next; the figure is processor time (a busy machine disturbs it least),
the median over rounds, and of the ratios to the shortest context.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from perceiver_policy.family.autoregressive import PerceiverAR

SIZES = {
    "small": {"width": 256, "self_attends": 6, "heads": 4, "latents": 256},
    "mid": {"width": 512, "self_attends": 12, "heads": 8, "latents": 512},
}


def steps(model: PerceiverAR, context: int, count: int) -> float:
    """Processor seconds a token over `count` tokens after a text that fills the context but for them.

    The first makes the latents anew.
    """
    ids = torch.randint(model.embedding.num_embeddings, (1, context - count))
    logits, cache = model.start(ids, room=count)
    began = time.process_time()
    for _ in range(count):
        logits, cache = model.step(logits.argmax(-1), cache)
    return (time.process_time() - began) / count


@torch.no_grad()
def whole(model: PerceiverAR, context: int) -> float:
    """Processor seconds for a token by a whole forward pass."""
    ids = torch.randint(model.embedding.num_embeddings, (1, context))
    began = time.process_time()
    model(ids, latents=model.latents // 2)
    return time.process_time() - began


@torch.no_grad()
def agreement(model: PerceiverAR, context: int, count: int = 8) -> float:
    """Largest difference of the logits to whole passes' over some tokens, as a share of their root mean square."""
    ids = torch.randint(model.embedding.num_embeddings, (1, context))
    latents = model.latents // 2
    _, cache = model.start(ids[:, :-count], latents=latents)
    worst = 0.0
    for t in range(context - count, context):
        logits, cache = model.step(ids[:, t], cache)
        latents += 1
        wanted = model(ids[:, : t + 1], latents=latents)[:, -1]
        worst = max(worst, float((logits - wanted).abs().max() / wanted.square().mean().sqrt()))
    return worst


def main(threads: int, rounds: int, size: str, contexts: list[int]) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = PerceiverAR(262, length=max(contexts), **SIZES[size]).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    found: dict[int, list[float]] = {context: [] for context in contexts}
    for i in range(rounds + 1):
        for context in contexts:
            seconds = steps(model, context, model.latents // 2)
            if i:
                found[context].append(seconds)
    print(f"{size}: {SIZES[size]}, {threads} thread(s), {rounds} rounds")
    print("context   ms a token   ratio to the shortest   ms without cache   largest difference")
    for context, times in found.items():
        ratio = statistics.median(t / s for t, s in zip(times, found[contexts[0]], strict=True))
        least = min(times) / min(found[contexts[0]])
        alone = min(whole(model, context) for _ in range(3))
        print(
            f"{context:7d}   {1e3 * statistics.median(times):10.2f}   {ratio:12.2f} (least: {least:.2f})"
            f"   {1e3 * alone:16.1f}   {agreement(model, context):.1e}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--contexts", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    main(**vars(parser.parse_args()))
