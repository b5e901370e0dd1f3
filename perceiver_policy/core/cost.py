"""What a configuration costs: arithmetic and memory, counted on shapes alone, without running or allocating
anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


@dataclass(frozen=True)
class Cost:
    """`forward` and `backward` in floating-point operations (a multiply and an add are two, as in the papers); the rest
    in bytes or counts."""

    parameters: int
    parameter_bytes: int
    forward: int
    backward: int
    saved_bytes: int
    """Activations kept between the forward and the backward pass."""
    parts: dict[str, int] = field(default_factory=dict)
    """Of the forward pass, by module name: what was computed while that module was called, its own parts included."""

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e6:.2f} M parameters ({self.parameter_bytes / 2**20:.1f} MiB), "
            f"{self.forward / 1e9:.3f} GFLOP forward, {self.backward / 1e9:.3f} GFLOP backward, "
            f"{self.saved_bytes / 2**20:.1f} MiB kept for the backward pass"
        )


def cost(model: nn.Module, *args: Any, **kwargs: Any) -> Cost:
    """The cost of `model(*args, **kwargs)` and of its backward pass, in the model's present mode.

    Tensors among the arguments count by shape only: `torch.empty(..., device="meta")` will do, as will a model built
    under `torch.device("meta")`. Attention is counted as the fused kernel that keeps no attention matrix.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    saved: dict[int, int] = {}
    with FakeTensorMode(allow_non_fake_inputs=True):

        def fake(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            empty = torch.empty(value.shape, dtype=value.dtype, device="cpu")
            return empty.requires_grad_() if isinstance(value, nn.Parameter) and value.requires_grad else empty

        state = {name: fake(t) for name, t in [*model.named_parameters(), *model.named_buffers()]}
        owned = {tensor.untyped_storage()._cdata for tensor in state.values()}

        def pack(tensor: Tensor) -> Tensor:
            key = tensor.untyped_storage()._cdata
            if key not in owned:
                saved[key] = tensor.untyped_storage().nbytes()
            kept.append(tensor)
            return tensor

        kept: list[Tensor] = []  # alive, so that no two storages share an address
        arguments = pytree.tree_map(fake, (args, kwargs))
        with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                output = torch.func.functional_call(model, state, *arguments)
            forward = counter.get_total_flops()
            parts = {
                name.partition(".")[2]: sum(operations.values())
                for name, operations in counter.get_flop_counts().items()
                if "." in name
            }
            leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
            if leaves:
                torch.autograd.backward(leaves, [torch.empty_like(leaf) for leaf in leaves])
            total = counter.get_total_flops()
    parameters = list(model.parameters())
    return Cost(
        parameters=sum(p.numel() for p in parameters),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        forward=forward,
        backward=total - forward,
        saved_bytes=sum(saved.values()),
        parts=parts,
    )


def is_fake(tensor: Tensor) -> bool:
    """Whether a tensor stands for a shape only, as inside `cost`: nothing may depend on its values."""
    return tensor.device.type == "meta" or type(tensor).__name__ == "FakeTensor"


def on_host(tensor: Tensor) -> bool:
    """Whether a tensor has values that can be asked for without waiting for another device."""
    return tensor.device.type == "cpu" and not is_fake(tensor)


_CPU_ATTENTION: dict[Any, Any] = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *args, out_shape=None, **kwargs: sdpa_flop_count(
        q, k, v
    ),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *args, out_shape=None, **kwargs: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
"""torch's counter knows the GPU's attention kernels only."""
