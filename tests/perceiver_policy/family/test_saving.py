"""Models in folders, and back."""

import functools
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.recorded import RECORDED, build, describe, recorded
from perceiver_policy.family.modalities import SetTokens
from perceiver_policy.family.perceiver import MultiTask, PerceiverIO, Task
from perceiver_policy.family.pretrained import from_huggingface, to_huggingface
from perceiver_policy.family.queries import learned_queries
from perceiver_policy.family.saving import load, save
from tests.perceiver_policy.members import MEMBERS, SMALL, make


@recorded
class Doubled(nn.Module):
    """A user's own inputs."""

    def __init__(self, width: int, *, names: list[str], table: dict[str, float] | None = None) -> None:
        super().__init__()
        self.width, self.names, self.table = width, names, table

    def forward(self, x, mask=None):
        return 2 * x, mask


def test_own_classes_functions_and_parts_used_twice(tmp_path):
    torch.manual_seed(0)
    decoder = Decoder(5, 16, output_width=2, activation=functools.partial(F.gelu, approximate="tanh"))
    queries = learned_queries(3, 5)
    inputs = Doubled(5, names=["a", "b"], table={"module": 1.0})
    model = MultiTask(
        Encoder(5, **SMALL), {"module": Task(decoder, queries), "map": Task(decoder, queries)}, inputs=inputs
    )
    save(model, tmp_path)
    again = load(tmp_path)
    assert not again.training
    x = torch.randn(2, 4, 5)
    torch.testing.assert_close(again(x), model.eval()(x))
    assert again.tasks["module"].decoder is again.tasks["map"].decoder
    assert again.tasks["map"].decoder.cross.mlp.activation.keywords == {"approximate": "tanh"}
    assert (again.inputs.names, again.inputs.table) == (("a", "b"), {"module": 1.0})
    assert len(list(again.parameters())) == len(list(model.parameters()))


def test_a_description_builds_the_same_kind(tmp_path):
    for name in MEMBERS:
        model, _, _ = make(name)
        text = json.dumps(describe(model))
        assert describe(build(json.loads(text))) == json.loads(text), name


def test_loading_leaves_training_possible(tmp_path):
    model, inputs, _ = make("masked language model")
    save(model, tmp_path)
    again = load(tmp_path).train()
    again(inputs).sum().backward()
    assert all(p.grad is not None for p in again.parameters())


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    class Own(nn.Module):
        pass

    cases = {
        "model.inputs: cannot describe a Own: its class is not @recorded": PerceiverIO(
            Encoder(5, **SMALL), inputs=Own()
        ),
        "model.encoder.activation: cannot describe <function": PerceiverIO(Encoder(5, activation=lambda x: x, **SMALL)),
        "model: cannot describe a Linear": nn.Linear(2, 3),
    }
    changed = PerceiverIO(Encoder(5, **SMALL), inputs=SetTokens(4, 5))
    changed.encoder = Encoder(5, **(SMALL | {"self_attends": 3}))
    cases["the model was changed after it was built: it could not be loaded: missing nothing"] = changed
    wider = PerceiverIO(Encoder(5, **SMALL), inputs=SetTokens(4, 5))
    wider.inputs = SetTokens(3, 5)
    cases[r"inputs.embedding.weight is \(5, 3\), expected \(5, 4\)"] = wider
    for message, model in cases.items():
        with pytest.raises(ValueError, match=message):
            save(model, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_what_is_no_saved_model_is_refused_in_words(tmp_path):
    model = PerceiverIO(Encoder(5, **SMALL))
    with pytest.raises(ValueError, match=r"holds no saved model: config\.json"):
        load(tmp_path)
    to_huggingface(model, tmp_path)
    with pytest.raises(ValueError, match="it is transformers' format: use from_huggingface"):
        load(tmp_path)
    assert from_huggingface(tmp_path)(torch.randn(1, 3, 5)).shape == (1, 4, 16)
    save(model, tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    text, data = config.read_text(), weights.read_bytes()
    for broken, message in (
        (text[:40], "is damaged"),
        (text.replace("PerceiverIO", "Popen"), "names 'Popen': import the module that has it, @recorded, first"),
        (text.replace('"latent_width": 16', '"latent_width": 32'), r"is \(4, 16\), expected \(4, 32\)"),
        (text.replace('"latent_width"', '"width_of_latents"'), "does not fit this version of Encoder"),
        (text.replace('"format": 1', '"format": 2'), "expected format 1"),
        ("[]", "expected format 1"),
        ('{"format": 1, "model": 3}', "expected the description of a module"),
    ):
        config.write_text(broken)
        with pytest.raises(ValueError, match=message):
            load(tmp_path)
    config.write_text(text)
    weights.write_bytes(data[:-100])
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path)


def test_one_name_one_class():
    with pytest.raises(ValueError, match="another class or function is recorded as 'Encoder'"):

        @recorded
        class Encoder(nn.Module):
            pass

    assert RECORDED["Encoder"].__module__ == "perceiver_policy.core.encoder"
