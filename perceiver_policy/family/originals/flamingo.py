"""Weights of the public Perceiver Resamplers: those of open_flamingo and of flamingo-pytorch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from perceiver_policy.family.resampler import Resampler

_LAYER = {
    "input_norm": "0.norm_media",
    "query_norm": "0.norm_latents",
    "attention.query": "0.to_q",
    "attention.key_value": "0.to_kv",
    "attention.output": "0.to_out",
    "mlp_norm": "1.0",
    "mlp.inner": "1.1",
    "mlp.outer": "1.3",
}


def from_flamingo(state: Mapping[str, Tensor], *, heads: int = 8) -> Resampler:
    """The Resampler that this state dict of a `PerceiverResampler` is of, in eval mode; all but the number of heads is
    read off it. Raises ValueError where it is not one."""
    if "latents" not in state or "layers.0.0.to_q.weight" not in state:
        raise ValueError("not the state dict of a public PerceiverResampler: no latents and layers.0.0.to_q.weight")
    media = next((value for name, value in state.items() if name in _MEDIA), None)
    frames = state.get("frame_embs")
    count, width = state["latents"].shape
    model = Resampler(
        width,
        depth=sum(name.endswith("to_q.weight") for name in state),
        latents=count,
        heads=heads,
        qk_width=state["layers.0.0.to_q.weight"].shape[0],
        frames=None if frames is None else frames.shape[0],
        media=0 if media is None else media.shape[0],
        widening=state["layers.0.1.1.weight"].shape[0] // width,
        bias=False,
    )
    names = {theirs: ours for ours, theirs in _names(model, set(state)).items()}
    if names.keys() != state.keys():
        raise ValueError(
            f"not the state dict of a public PerceiverResampler: {sorted(names.keys() ^ state.keys())[:5]}"
        )
    own = model.state_dict()
    loaded = {ours: state[theirs].reshape(own[ours].shape) for theirs, ours in names.items()}
    model.to(state["latents"].dtype).load_state_dict(loaded)
    return model.eval()


def to_flamingo(model: Resampler, *, library: str = "open_flamingo") -> dict[str, Tensor]:
    """The state dict that the `PerceiverResampler` of `library` ("open_flamingo" or "flamingo-pytorch") loads. Raises
    ValueError for a model with biases, which they have not."""
    if model.layers[0].mlp.inner.bias is not None:  # type: ignore[union-attr]
        raise ValueError("the public resamplers have no biases in their linear layers: build with bias=False")
    media = {"open_flamingo": "media_time_embs", "flamingo-pytorch": "media_pos_emb"}[library]
    own = model.state_dict()
    state = {theirs: own[ours].clone() for ours, theirs in _names(model, {media}).items()}
    return {name: value[:, None] if name in _MEDIA else value for name, value in state.items()}


_MEDIA = ("media_time_embs", "media_pos_emb", "time_pos_emb")
"""What the embedding of the medium is called: open_flamingo, flamingo-pytorch, its earlier versions."""


def _names(model: Resampler, theirs: set[str]) -> dict[str, str]:
    """Our names -> theirs."""
    tables = {"latents.value": "latents", "frames.value": "frame_embs"}
    tables["media.value"] = next((name for name in _MEDIA if name in theirs), _MEDIA[0])
    found = {}
    for name in model.state_dict():
        match = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", name)
        inner = f"layers.{match[1]}.{_LAYER[match[2]]}.{match[3]}" if match else name
        found[name] = tables.get(name, inner)
    return found
