"""Any model of the family in a folder, and back: `config.json` says what it is made of, beside it are its weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

# Imported so that every class that a description may name is known.
from perceiver_policy.core.recorded import build, describe
from perceiver_policy.family import autoregressive, hierarchical, modalities, perceiver, queries, resampler  # noqa: F401

CONFIG, WEIGHTS, FORMAT = "config.json", "model.safetensors", 1


def save(model: nn.Module, folder: str | Path) -> None:
    """Writes `config.json` and `model.safetensors`. Every class in it has to be `recorded`, as the library's are.

    Raises ValueError, with nothing written, for what could not be loaded again: other classes, functions without a
    name, a model whose parts were exchanged after it was built.
    """
    description = describe(model)
    with torch.device("meta"):
        again = build(description)
    own = model.state_dict(keep_vars=True)
    _compare(own, again.state_dict(), "the model was changed after it was built: it could not be loaded")
    first = {id(value): name for name, value in reversed(own.items())}  # of weights with several names, the first
    weights = {name: own[name].detach().contiguous() for name in first.values()}
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_file(weights, path / f"{WEIGHTS}.new", metadata={"format": "pt"})
    (path / f"{CONFIG}.new").write_text(json.dumps({"format": FORMAT, "model": description}, indent=1) + "\n")
    for name in (WEIGHTS, CONFIG):
        os.replace(path / f"{name}.new", path / name)


def load(folder: str | Path, device: torch.device | str = "cpu") -> Any:
    """The model that `save` wrote there, in eval mode, its weights of the types they were saved with.

    Nothing is allocated twice: it is built on the meta device, and the file's tensors become its weights. Raises
    ValueError for a folder that holds no such model, and for one that does not fit.
    """
    path = Path(folder)
    try:
        config = json.loads((path / CONFIG).read_text())
        state = load_file(path / WEIGHTS, device=str(device))
    except OSError as error:
        raise ValueError(f"{path} holds no saved model: {CONFIG} or {WEIGHTS} cannot be read ({error})") from error
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"the model in {path} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        other = isinstance(config, dict) and config.get("model_type") == "perceiver"
        hint = "it is transformers' format: use from_huggingface" if other else f"expected format {FORMAT}"
        raise ValueError(f"{path / CONFIG} is not what `save` writes: {hint}")
    with torch.device("meta"):
        model = build(config.get("model"))
    wanted = model.state_dict(keep_vars=True)
    first = {id(value): name for name, value in reversed(wanted.items())}
    state |= {name: state[first[id(value)]] for name, value in wanted.items() if first[id(value)] in state}
    _compare(state, wanted, f"the weights in {path} are not those of its {CONFIG}")
    kind = next((value.dtype for value in state.values() if value.is_floating_point()), torch.float32)
    with torch.device(device):
        model.to(kind).load_state_dict(state, assign=True)
    return model.eval()


def _compare(found: dict[str, Tensor], wanted: dict[str, Tensor], message: str) -> None:
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise ValueError(f"{message}: missing {missing[:5] or 'nothing'}, unexpected {unexpected[:5] or 'nothing'}")
    for name, value in wanted.items():
        if found[name].shape != value.shape:
            raise ValueError(f"{message}: {name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}")
