"""Names and shapes of the original code's parameter trees, written down from its own modules: what the code under test
must find and make. Each function mirrors one module there; `test_trees.py` holds them to the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, inner: int, outer: int, bias: bool = True) -> Shapes:
    return {f"{name}/w": (inner, outer)} | ({f"{name}/b": (outer,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}/scale": (width,), f"{name}/offset": (width,)}


def attention(name: str, q: int, kv: int, qk: int, v: int, names: Sequence[str]) -> Shapes:
    query, key, value, output = (f"{name}/attention/{part}" for part in names)
    return linear(query, q, qk) | linear(key, kv, qk) | linear(value, kv, v) | linear(output, v, q)


NUMBERED = ("linear", "linear_1", "linear_2", "linear_3")


def cross(name: str, q: int, kv: int, qk=None, v=None, widening=1, mlp="mlp", names=NUMBERED, inner=NUMBERED) -> Shapes:
    qk = qk or kv
    shapes = norm(f"{name}/layer_norm", q) | norm(f"{name}/layer_norm_1", kv) | norm(f"{name}/layer_norm_2", q)
    shapes |= attention(name, q, kv, qk, v or qk, names)
    return (
        shapes
        | linear(f"{name}/{mlp}/{inner[0]}", q, widening * q)
        | linear(f"{name}/{mlp}/{inner[1]}", widening * q, q)
    )


def self_attention(
    name: str, width: int, qk=None, v=None, widening=1, mlp="mlp", names=NUMBERED, inner=NUMBERED
) -> Shapes:
    qk = qk or width
    shapes = norm(f"{name}/layer_norm", width) | norm(f"{name}/layer_norm_1", width)
    shapes |= attention(name, width, width, qk, v or qk, names)
    hidden = widening * width
    return (
        shapes | linear(f"{name}/{mlp}/{inner[0]}", width, hidden) | linear(f"{name}/{mlp}/{inner[1]}", hidden, width)
    )


def numbered(name: str, i: int) -> str:
    return f"{name}_{i}" if i else name


def encoder(
    latents, width, inputs, layers, qk=None, v=None, cross_widening=1, self_widening=1, top="perceiver_encoder"
):
    shapes: Shapes = {f"{top}/~/trainable_position_encoding/pos_embs": (latents, width)}
    shapes |= cross(f"{top}/~/cross_attention", width, inputs, qk, v, cross_widening)
    for i in range(layers):
        shapes |= self_attention(f"{top}/~/{numbered('self_attention', i)}", width, qk, v, self_widening)
    return shapes


def decoder(top: str, query: int, width: int, qk=None, v=None, outputs=None) -> Shapes:
    shapes = cross(f"{top}/cross_attention", query, width, qk, v)
    return shapes | (linear(f"{top}/output", query, outputs) if outputs else {})


POSITIONS = "~/trainable_position_encoding/pos_embs"


def language(latents=256, width=1280, model=768, layers=26, length=2048, vocabulary=262, qk=256) -> Shapes:
    return {
        "embed/embeddings": (vocabulary, model),
        "trainable_position_encoding/pos_embs": (length, model),
        **encoder(latents, width, model, layers, qk, width),
        f"basic_decoder/{POSITIONS}": (length, model),
        **decoder("basic_decoder", model, width, qk, model),
        "embedding_decoder/bias": (vocabulary,),
    }


def flow(latents=2048, width=512, layers=24, channels=64, positions=258) -> Shapes:
    return {
        **linear("image_preprocessor/patches_linear", 54, channels),
        **encoder(latents, width, channels + positions, layers),
        **decoder("flow_decoder/~/basic_decoder", channels + positions, width, outputs=2),
    }


def imagenet(kind: str, latents=512, width=1024, layers=6, classes=1000) -> Shapes:
    top, shapes, inputs = "image_preprocessor", {}, 3 + 258
    if kind == "learned":
        network, inputs = f"{top}/~_build_network_inputs", 512
        shapes = {
            f"{top}/~/conv2_d/w": (1, 1, 3, 256),
            f"{top}/~/conv2_d/b": (256,),
            f"{network}/trainable_position_encoding/pos_embs": (224 * 224, 256),
            **linear(f"{network}/position_encoding_projector/linear", 256, 256),
        }
    elif kind == "conv":
        stem, inputs = f"{top}/~/conv2_d_downsample/~", 64 + 258
        norm = ("scale", "offset", "~/mean_ema/average", "~/var_ema/average")
        shapes = {f"{stem}/conv/w": (7, 7, 3, 64)} | {f"{stem}/batchnorm/{name}": (1, 1, 1, 64) for name in norm}
    classification = "classification_decoder/~/basic_decoder"
    return {
        **shapes,
        **encoder(latents, width, inputs, layers),
        f"{classification}/{POSITIONS}": (1, width),
        **decoder(classification, width, width, outputs=classes),
    }


def multimodal(
    latents=784,
    width=512,
    layers=8,
    inputs: Mapping[str, int] | None = None,
    queries: Mapping[str, int] | None = None,
    labels=700,
    outputs=512,
    samples=16,
    top="encoder",
) -> Shapes:
    inputs = inputs or {"audio": 16 + 385, "image": 48 + 195, "label": 700}
    queries = queries or {"audio": 385, "image": 195, "label": 1024}
    wide, asked = max(inputs.values()) + 4, max(queries.values()) + 2
    shapes: Shapes = {f"multimodal_preprocessor/{name}_padding/pos_embs": (1, wide - n) for name, n in inputs.items()}
    shapes |= {f"multimodal_preprocessor/{name}_mask_token/pos_embs": (1, wide) for name in inputs}
    shapes |= {f"multimodal_decoder/~decoder_query/{n}_padding/pos_embs": (1, asked - q) for n, q in queries.items()}
    return {
        **shapes,
        f"classification_decoder/~/basic_decoder/{POSITIONS}": (1, queries["label"]),
        **encoder(latents, width, wide, layers, top=top),
        **decoder("multimodal_decoder/~/basic_decoder", asked, width, outputs=outputs),
        **linear("audio_postprocessor/linear", outputs, samples),
        **linear("projection_postprocessor/linear", outputs, 3),
        **linear("classification_postprocessor/linear", outputs, labels),
    }


HIP_NAMES = {
    "mlp": "dense",
    "names": ("query_linear", "key_linear", "value_linear", "attention_output_linear"),
    "inner": ("mlp_hidden_linear", "mlp_output_linear"),
}


def hip(
    modalities: Mapping[str, tuple[int, int]], groups, layers, latents, widths, channels: int, projected: bool
) -> Shapes:
    shapes: Shapes = {}
    for i, (name, (places, width)) in enumerate(modalities.items()):
        shapes |= linear(f"perceiver/embedder/~embed/embed_{name}", width, channels)
        shapes |= linear(f"perceiver/embedder/~unembed/unembed_{name}", channels, width)
        shapes[f"perceiver/position_encoder/pos_emb_mae_{name}/pos_embs"] = (places, channels)
        if projected:
            name = f"perceiver/position_encoder/{numbered('position_encoding_linear', i)}"
            shapes |= linear(name, channels, channels, bias=False)
    for i, width in enumerate(widths):
        top = f"perceiver/block_{i}/~"
        read = f"{top}/hi_p_cross_attention"
        shapes[f"{read}/query_inputs/pos_embs"] = (groups[i] * latents[i], width)
        mirror = widths[len(widths) - 1 - i]
        if i > len(widths) // 2 and mirror != width:
            shapes |= linear(f"{read}/pre_attention_residual_linear", mirror, width)
        shapes |= cross(read, width, widths[i - 1] if i else channels, **HIP_NAMES)
        for k in range(layers[i]):
            shapes |= self_attention(f"{top}/self_attend_id_{k}", width, widening=4, **HIP_NAMES)
    head = "perceiver/reconstruction_head/hi_p_cross_attention"
    return shapes | cross(head, channels, widths[-1], **HIP_NAMES)


def autoregressive(vocabulary: int, width: int, layers: int, tables: Sequence[int] = (), widening=(4, 4)) -> Shapes:
    top = "perceiver_ar/~"
    shapes: Shapes = {f"{top}/embed/embeddings": (vocabulary, width)}
    shapes |= {f"{top}/embed_{i + 1}/embeddings": (rows, width) for i, rows in enumerate(tables)}
    shapes |= linear(f"{top}/linear", width, width)
    shapes |= cross(f"{top}/cross_attention", width, width, widening=widening[0], mlp="dense")
    for i in range(layers):
        name = f"{top}/{numbered('self_attention', i)}"
        shapes |= self_attention(name, width, widening=widening[1], mlp="dense")
    return shapes | norm("perceiver_ar/layer_norm", width) | linear(f"{top}/logits", width, vocabulary)
