"""What PyTorch does slowly on a CPU, done by its faster parts: linear layers in float32, attention in bfloat16.

PyTorch multiplies float32 matrices by MKL, which leaves much of what other makers' processors can do unused; oneDNN,
which it has beside it, does not. The operator that reaches oneDNN is private: where it is missing, and wherever nothing
is to be won (small matrices, other processors, devices and types, compiling, exporting), `linear` is PyTorch's own.
PyTorch's fused attention has a slow backward pass in bfloat16 there; plain products and a softmax are twice as fast.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST = 2**23
"""Products of fewer multiplications are as fast by MKL, or faster (measured on AMD EPYC)."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`[..., in]`, `[out, in]`, `[out]` -> `[..., out]`, equal to `torch.nn.functional.linear` but for rounding."""
    # Types first: sizes that are symbols, in compiling and exporting, may not be compared.
    if type(x) is not Tensor or torch.compiler.is_compiling() or not _pays(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        return cast(Tensor, _Linear.apply(x, weight, bias))
    return _multiply(x, weight, bias)


class Linear(nn.Linear):
    """A linear layer by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        return linear(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """Its backward pass is made of `linear`, so it can itself be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            linear(grad, weight.t()) if for_x else None,
            rows.t() @ x.flatten(0, -2) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.numel() * weight.shape[0] >= LEAST
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and type(weight) in (Tensor, nn.Parameter)
        and not (torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"))
        and not torch._C._are_functorch_transforms_active()
        and bool(torch.backends.mkldnn.enabled)
        and fast_here()
    )


MOST_WEIGHTS = 2**25
"""How large an attention matrix may be (64 MiB) for plain attention, which keeps it."""


def plain_pays(queries: Tensor, keys: Tensor) -> bool:
    """Whether attention of `[B, heads, Q, k]` over `[B, heads, M, k]` is faster without the fused kernel."""
    return (
        queries.device.type == "cpu"
        and (queries.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu"))
        and type(queries) is Tensor
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and queries.numel() // queries.shape[-1] * keys.shape[-2] <= MOST_WEIGHTS
    )


def plain_attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """`scaled_dot_product_attention` by its formula; `mask` is boolean, and a row whose keys are all masked gives
    zeros."""
    scores = (queries * (scale or queries.shape[-1] ** -0.5)) @ keys.transpose(-2, -1)
    if mask is None:
        weights = scores.softmax(-1, dtype=scores.dtype)
    else:
        least = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, least).softmax(-1, dtype=scores.dtype) * mask
    return weights @ values


@functools.cache
def fast_here() -> bool:
    """Whether this processor is one that MKL does not do justice, and oneDNN can be reached."""
    processor = Path("/proc/cpuinfo")
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkldnn.is_available()
        and processor.is_file()
        and "AuthenticAMD" in processor.read_text(errors="replace")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
