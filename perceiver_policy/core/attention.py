"""Attention, the one mechanism everything here is built from.

All of it runs through `torch.nn.functional.scaled_dot_product_attention`, or what equals it (`products`). Masks are
boolean, True = valid, and broadcast, never expanded. What is masked is replaced by zeros before anything is computed
from it, so that not even a NaN in padding reaches a result or a gradient. A row whose keys are all masked attends to
nothing: its attended values are zeros (as in DeepMind's `perceiver.py`), with finite gradients. Layers are pre-norm
with bias in every projection, exact GELU and LayerNorm epsilon 1e-5, as in the published PyTorch checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.products import Linear, linear, plain_attention, plain_pays
from perceiver_policy.core.recorded import recorded

KeyValues = tuple[Tensor, Tensor]
"""Keys and values, `[B, heads, M, key width]` and `[B, heads, M, value width]`."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of rotary positions, each broadcastable to `[B, heads, M, rotated channels]`; see
`positions.rotary`."""

Activation = Callable[[Tensor], Tensor]


@recorded
def squared_relu(x: Tensor) -> Tensor:
    """`max(x, 0)^2`, the activation of the Hierarchical Perceiver."""
    return F.relu(x).square()


def tanh_gelu(x: Tensor) -> Tensor:
    """GELU in its tanh approximation, that of DeepMind's own Perceiver code."""
    return F.gelu(x, approximate="tanh")


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Scaled dot-product attention over heads: `[B, heads, Q, k]`, `[B, heads, M, k]`, `[B, heads, M, v]` -> `[B, Q,
    heads * v]`.

    `mask` is boolean, `[B, M]` (a key mask) or four-dimensional and broadcastable to `[B, heads, Q, M]`. Queries with a
    batch of one are shared by all of the batch: learned queries are then projected once, not once an element. `scale`
    multiplies the scores (default: `k ** -0.5`).
    """
    if keys.shape[2] == 1 and mask is None and not dropout:  # the one key has all the weight
        return values.transpose(1, 2).flatten(2).expand(-1, queries.shape[2], -1)
    if queries.shape[0] != keys.shape[0]:
        queries = queries.expand(keys.shape[0], -1, -1, -1)
    mask = key_mask(mask)
    if plain_pays(queries, keys) and not dropout:
        attended = plain_attention(queries, keys, values, mask, scale)
    else:
        attended = F.scaled_dot_product_attention(queries, keys, values, mask, dropout, scale=scale)
    return attended.transpose(1, 2).flatten(2)


def attention_weights(queries: Tensor, keys: Tensor, mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """The weights that `attend` uses, `[B, heads, Q, M]`, in float32: each row sums to one, or to zero where all keys
    are masked."""
    scores = (queries.float() @ keys.float().transpose(-2, -1)) * (scale or queries.shape[-1] ** -0.5)
    valid = key_mask(mask)
    if valid is None:
        return scores.softmax(-1)
    return scores.masked_fill(~valid, torch.finfo(scores.dtype).min).softmax(-1) * valid


def key_mask(mask: Tensor | None) -> Tensor | None:
    """A `[B, M]` mask as `[B, 1, 1, M]`; one of four dimensions and None as they are. Raises ValueError for others."""
    if mask is None:
        return None
    if mask.dim() not in (2, 4):
        raise ValueError(f"expected a mask [batch, tokens] or [batch, heads, queries, tokens], got {tuple(mask.shape)}")
    mask = boolean(mask)
    return mask[:, None, None, :] if mask.dim() == 2 else mask


def boolean(mask: Tensor) -> Tensor:
    """A mask as booleans, True = valid; of whole numbers, those that are not zero.

    Raises ValueError for floats: PyTorch would add them to the scores, where 0 means valid.
    """
    if mask.is_floating_point():
        raise ValueError(
            f"expected a boolean mask, True = valid, got {mask.dtype}: of zeros and ones, give mask.bool()"
        )
    return mask if mask.dtype == torch.bool else mask.bool()


def hide(inputs: Tensor, mask: Tensor | None) -> Tensor:
    """Inputs `[B, M, C]` with zeros where their mask `[B, M]` is False. Raises ValueError where the two do not fit."""
    if mask is None or mask.dim() != 2:
        return inputs
    if mask.shape[1] != inputs.shape[1]:
        raise ValueError(
            f"a mask {tuple(mask.shape)} for inputs {tuple(inputs.shape)}: expected one value a token, "
            f"[batch, {inputs.shape[1]}]"
        )
    return inputs.masked_fill(~boolean(mask)[..., None], 0.0)


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Turns adjacent pairs of the first channels of `x` (`[B, heads, M, width]`) by the angles of `rotation`; the rest
    passes through.

    RoFormer, arXiv 2104.09864, equation 34; on a part of the channels as in Perceiver AR, arXiv 2202.07765.
    """
    if rotation is None:
        return x
    cos, sin = rotation
    turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    quarter = torch.stack((-turned[..., 1::2], turned[..., ::2]), -1).flatten(-2)
    turned = (turned * cos + quarter * sin).to(x.dtype)
    return torch.cat((turned, rest), -1) if rest.shape[-1] else turned


class Attention(nn.Module):
    """Multi-head attention from queries `[B or 1, Q, query_width]` to inputs `[B, M, input_width]`, giving `[B, Q,
    output_width]`.

    Keys and values come of one fused projection and depend on the inputs only: compute them once with `keys_values` and
    use them for any number of queries. `qk_width` and `v_width` are totals over heads (defaults: `query_width`, then
    `qk_width`). Raises ValueError where the heads do not divide a width.

    Without `project_inputs` (one head, no dropout) the inputs themselves serve as keys and values, and the projections
    are multiplied into the queries and what they gather: `(q W) x^T = q (x W^T)^T`. The result is the same, and less
    work where there are many more inputs than queries. (The keys' bias adds the same to all scores of a query, so it
    falls away; the values' bias is added where there is anything to attend to.)
    """

    def __init__(
        self,
        query_width: int,
        input_width: int | None = None,
        *,
        heads: int = 1,
        qk_width: int | None = None,
        v_width: int | None = None,
        output_width: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        project_inputs: bool = True,
    ) -> None:
        super().__init__()
        if not project_inputs and (heads > 1 or dropout):
            raise ValueError(
                f"project_inputs=False is for one head and no dropout, got {heads} heads and dropout {dropout}"
            )
        self.heads, self.dropout, self.project_inputs = heads, dropout, project_inputs
        self.qk_width, self.v_width = _widths(query_width, heads, qk_width, v_width)
        self.query = Linear(query_width, self.qk_width, bias)
        self.key_value = Linear(input_width or query_width, self.qk_width + self.v_width, bias)
        self.output = Linear(self.v_width, output_width or query_width, bias)

    def keys_values(self, inputs: Tensor, rotation: Rotation | None = None) -> KeyValues:
        """Inputs `[B, M, input_width]` -> keys and values. Raises ValueError for a rotation without
        `project_inputs`."""
        if self.project_inputs:
            return self.split(self.key_value(inputs), rotation)
        if rotation is not None:
            raise ValueError("rotary positions turn projected keys: build with project_inputs=True")
        return inputs[:, None], inputs[:, None]

    def split(self, projected: Tensor, rotation: Rotation | None = None) -> KeyValues:
        """What `key_value` made, `[B, M, qk_width + v_width]` -> keys and values by head, the keys rotated."""
        keys, values = projected.split((self.qk_width, self.v_width), -1)
        return rotate(_split(keys, self.heads), rotation), _split(values, self.heads)

    def queries(self, queries: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Queries `[B, Q, query_width]` projected and split: `[B, heads, Q, key width]`."""
        projected = self.query(queries)
        if not self.project_inputs:
            projected = projected @ self.key_value.weight[: self.qk_width]
        return rotate(_split(projected, self.heads), rotation)

    def forward(
        self, queries: Tensor, keys_values: KeyValues, mask: Tensor | None = None, rotation: Rotation | None = None
    ) -> Tensor:
        """`mask`: see `attend`. `rotation`: of the queries."""
        dropout = self.dropout if self.training else 0.0
        attended = attend(self.queries(queries, rotation), *keys_values, mask, dropout, self._scale())
        if not self.project_inputs:
            attended = linear(attended, self.key_value.weight[self.qk_width :])
            if self.key_value.bias is not None:
                bias = self.key_value.bias[self.qk_width :]
                valid = key_mask(mask)
                attended = attended + (bias if valid is None else bias * valid.any(-1).flatten(1)[..., None])
        return cast(Tensor, self.output(attended))

    def maps(
        self, queries: Tensor, keys_values: KeyValues, mask: Tensor | None = None, rotation: Rotation | None = None
    ) -> Tensor:
        """The attention weights of the same call, `[B, heads, Q, M]`."""
        return attention_weights(self.queries(queries, rotation), keys_values[0], mask, self._scale())

    def _scale(self) -> float:
        return float((self.qk_width // self.heads) ** -0.5)


class MLP(nn.Module):
    """Two linear layers with a hidden width of `widening * width`. The LayerNorm before it and the residual around it
    are the caller's."""

    def __init__(
        self,
        width: int,
        *,
        widening: int = 1,
        output_width: int | None = None,
        activation: Activation = F.gelu,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.inner = Linear(width, widening * width, bias)
        self.outer = Linear(widening * width, output_width or width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., width]` -> `[..., output_width]`."""
        return cast(Tensor, self.outer(self.activation(self.inner(x))))


class CrossAttention(nn.Module):
    """One cross-attention layer: `x = queries + attend(LN queries, LN inputs)`, then `x + MLP(LN x)`; the query
    residual is optional.

    Queries `[B or 1, Q, query_width]`, inputs `[B, M, input_width]`, output `[B, Q, query_width]`. `qk_width` defaults
    to the inputs' width, as published. Without `bias` its linear layers have none. `project_inputs`: see `Attention`.
    """

    def __init__(
        self,
        query_width: int,
        input_width: int,
        *,
        heads: int = 1,
        qk_width: int | None = None,
        v_width: int | None = None,
        widening: int = 1,
        residual: bool = True,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
        bias: bool = True,
        project_inputs: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.query_norm = nn.LayerNorm(query_width)
        self.input_norm = nn.LayerNorm(input_width)
        self.attention = Attention(
            query_width,
            input_width,
            heads=heads,
            qk_width=qk_width or input_width,
            v_width=v_width,
            dropout=dropout,
            bias=bias,
            project_inputs=project_inputs,
        )
        self.mlp_norm = nn.LayerNorm(query_width)
        self.mlp = MLP(query_width, widening=widening, activation=activation, bias=bias)

    def keys_values(self, inputs: Tensor, rotation: Rotation | None = None) -> KeyValues:
        """Keys and values of inputs `[B, M, input_width]`; they do not depend on the queries."""
        if inputs.requires_grad or not torch.is_grad_enabled() or not self.attention.project_inputs:
            return self.attention.keys_values(self.input_norm(inputs), rotation)
        # Raw inputs want no gradient: with the norm's scale and shift folded into the projection, the backward pass is
        # spared a product as large as the projection itself.
        norm, projection = self.input_norm, self.attention.key_value
        normalized = F.layer_norm(inputs, norm.normalized_shape, eps=norm.eps)
        if projection.bias is None:
            bias = torch.mv(projection.weight, norm.bias)
        else:
            bias = torch.addmv(projection.bias, projection.weight, norm.bias)
        return self.attention.split(linear(normalized, projection.weight * norm.weight, bias), rotation)

    def forward(
        self,
        queries: Tensor,
        inputs: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        keys_values: KeyValues | None = None,
        query_mask: Tensor | None = None,
        rotation: Rotation | None = None,
    ) -> Tensor:
        """Give `inputs` or the `keys_values` made from them. `mask` `[B, M]`; `query_mask` `[B, Q]`: outputs of masked
        queries are zeros."""
        if keys_values is None:
            if inputs is None:
                raise ValueError("cross-attention needs inputs, or keys_values made from them; got neither")
            keys_values = self.keys_values(hide(inputs, mask))
        if query_mask is not None and queries.shape[0] == query_mask.shape[0]:
            queries = hide(queries, query_mask)
        attended = self.attention(self.query_norm(queries), keys_values, mask, rotation)
        x = queries + attended if self.residual else attended
        x = x + self.mlp(self.mlp_norm(x))
        return hide(x, query_mask)


class SelfAttention(nn.Module):
    """One latent layer: `x + attend(LN x)`, then `x + MLP(LN x)`, on `[B, N, width]`. Queries, keys and values are one
    projection."""

    def __init__(
        self,
        width: int,
        *,
        heads: int = 1,
        qk_width: int | None = None,
        v_width: int | None = None,
        widening: int = 1,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
    ) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qk_width, self.v_width = _widths(width, heads, qk_width, v_width)
        self.norm = nn.LayerNorm(width)
        self.query_key_value = Linear(width, 2 * self.qk_width + self.v_width)
        self.output = Linear(self.v_width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, widening=widening, activation=activation)

    def project(self, x: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of `x` `[B, N, width]`, split in heads and rotated."""
        projected = self.query_key_value(self.norm(x))
        if self.qk_width == self.v_width:
            queries, keys, values = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            parts = projected.split((self.qk_width, self.qk_width, self.v_width), -1)
            queries, keys, values = (_split(part, self.heads) for part in parts)
        return rotate(queries, rotation), rotate(keys, rotation), values

    def forward(self, x: Tensor, mask: Tensor | None = None, rotation: Rotation | None = None) -> Tensor:
        """`mask`: see `attend`."""
        return self.finish(x, *self.project(x, rotation), mask)

    def finish(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """The rest of the layer, given what `project` made (and, when decoding step by step, keys and values of earlier
        positions)."""
        x = x + self.output(attend(queries, keys, values, mask, self.dropout if self.training else 0.0))
        return cast(Tensor, x + self.mlp(self.mlp_norm(x)))

    def maps(self, x: Tensor, mask: Tensor | None = None, rotation: Rotation | None = None) -> Tensor:
        """The attention weights of the same call, `[B, heads, N, N]`."""
        queries, keys, _ = self.project(x, rotation)
        return attention_weights(queries, keys, mask)


def output_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear map outside autocast: logits in float32 where the trunk runs in less."""
    if x.device.type == "meta" or not torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight, bias)
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.float(), weight, bias)


@recorded
class OutputLinear(nn.Linear):
    """A linear layer by `output_linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` -> `[..., out_features]`."""
        return output_linear(x, self.weight, self.bias)


def attention_maps(model: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """Runs `model(*args, **kwargs)` and returns the weights of every attention in it, `[B, heads, Q, M]`, by module
    name.

    A module that is applied several times (shared weights) has a number after its name: `encoder.blocks.0.0#2` is its
    third call.
    """
    found: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        calls = iter(range(10**9))

        def hook(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            call = next(calls)
            found[name if call == 0 else f"{name}#{call}"] = module.maps(*arguments, **keywords)

        return hook

    handles = [
        module.register_forward_pre_hook(record(name), with_kwargs=True)
        for name, module in model.named_modules()
        if isinstance(module, Attention | SelfAttention)
    ]
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _widths(query_width: int, heads: int, qk_width: int | None, v_width: int | None) -> tuple[int, int]:
    qk_width = qk_width or query_width
    v_width = v_width or qk_width
    for name, width in (("qk_width", qk_width), ("v_width", v_width)):
        if width % heads:
            raise ValueError(
                f"{name} {width} is not a multiple of heads {heads}: give a width that is, or heads that divide it"
            )
    return qk_width, v_width
