"""The network: a Perceiver / Perceiver IO. Tensors in, tensors out; knows no game.

Every public name can be imported from here; what it needs is loaded when it is first used.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "core.attention": "Attention CrossAttention SelfAttention MLP KeyValues attention_maps squared_relu tanh_gelu",
    "family.autoregressive": "PerceiverAR",
    "policy.config": "PolicyConfig",
    "core.cost": "Cost",
    "core.decoder": "Decoder",
    "core.encoder": "Encoder",
    "family.hierarchical": "HierarchicalPerceiver hierarchical masked_autoencoding_loss",
    "family.initialization": "initialize",
    "family.generation": "Cache Drawing",
    "core.latents": "Latents InputLatents",
    "family.modalities": (
        "Pixels Conv1x1 ConvStem Patches AudioPatches OneVector GridTokens ByteTokens PointTokens "
        "SetTokens Modalities encode_text decode_text "
    ),
    "family.perceiver": (
        "Perceiver PerceiverIO MaskedLanguageModel MultiTask Task ModalityTask OneAnswer AudioAnswers Grid "
    ),
    "policy.policy": "PerceiverPolicy",
    "core.positions": (
        "FourierPositions LearnedPositions fourier_features fourier_width grid_positions sinusoidal rotary "
    ),
    "family.presets": (
        "published PUBLISHED PUBLISHED_AR classifier masked_language_model optical_flow multimodal_autoencoder "
        "entity_encoder "
    ),
    "family.pretrained": "from_huggingface to_huggingface",
    "family.processing.flow": "optical_flow_of",
    "family.processing.media": (
        "preprocess_images preprocess_video postprocess_video preprocess_audio postprocess_audio depth_to_space "
    ),
    "family.processing.text": "hide_tokens masked_loss fill_mask",
    "family.queries": "PositionQueries InputQueries ModalityQueries learned_queries pixel_queries",
    "core.recorded": "recorded",
    "family.saving": "save load",
    "family.resampler": "Resampler public_resampler",
    "family.originals.deepmind": "from_deepmind to_deepmind",
    "family.originals.flamingo": "from_flamingo to_flamingo",
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
