"""Trees of every published shape: names, shapes and counts, both directions, and files of them."""

import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from perceiver_policy.core.positions import LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import VARIANTS, hierarchical
from perceiver_policy.family.modalities import Conv1x1, GridTokens
from perceiver_policy.family.originals.deepmind import deepmind_shapes, from_deepmind, to_deepmind
from perceiver_policy.family.originals.trees import read_tree
from perceiver_policy.family.presets import (
    PUBLISHED_AR,
    classifier,
    masked_language_model,
    optical_flow,
    published,
)
from tests.perceiver_policy.family.originals import trees
from tests.perceiver_policy.family.originals.recordings import recording

MODALITIES = {"image": (1024, 3), "label": (32, 1)}


def hip_tree(variant, modalities, **changes):
    sizes = VARIANTS[variant] | changes
    return trees.hip(
        modalities,
        sizes["groups"],
        sizes["self_attends"],
        sizes["latents"],
        sizes["widths"],
        sizes["embedding_width"],
        projected=True,
    )


def ar_tree(name, width=1024):
    sizes = PUBLISHED_AR[name]
    return trees.autoregressive(259, width, sizes["self_attends"], sizes.get("position_rows", ()))


TREES = {
    "language-perceiver": trees.language(),
    "optical-flow-perceiver": trees.flow(),
    "vision-perceiver-learned": trees.imagenet("learned"),
    "vision-perceiver-fourier": trees.imagenet("fourier"),
    "vision-perceiver-conv": trees.imagenet("conv"),
    "multimodal-perceiver": trees.multimodal(),
    **{name: ar_tree(name) for name in PUBLISHED_AR},
}


def test_generated_trees_are_the_recorded():
    """What `trees.py` says of the original, against what the original said."""
    _, io, _ = recording("deepmind_perceiver_io_2")
    made = trees.encoder(9, 32, 20, 2, 16, 32, 3, 2) | trees.decoder("basic_decoder", 24, 32, 16, 24, 11)
    assert made == shapes(io)
    _, mixed, _ = recording("multimodal_autoencoder_1")
    sizes = {"inputs": {"audio": 29, "image": 81, "label": 7}, "queries": {"audio": 13, "image": 33, "label": 48}}
    made = trees.multimodal(12, 32, 2, **sizes, labels=7, outputs=20, top="perceiver_encoder")
    assert made == shapes(mixed)
    for number in (1, 2, 3):
        config, hip, _ = recording(f"hip_{number}")
        c = config["model"]
        modalities = {name: tuple(config["modalities"][name]) for name in config["modality_order"]}
        blocks = (c["num_groups"], c["num_self_attends_per_block"], c["z_index_dim"], c["num_z_channels"])
        made = trees.hip(modalities, *blocks, 16, bool(c["num_position_encoding_channels"]))
        assert made == shapes(hip)
        config, ar, _ = recording(f"perceiver_ar_{number}")
        c = config["model"]
        tables = (20,) if number == 2 else ()
        widening = (c["cross_attend_widening_factor"], c["transformer_widening_factor"])
        made = trees.autoregressive(
            c["num_classes"], c["num_z_channels"], c["num_transformers_per_block"], tables, widening
        )
        assert made == shapes(ar)


def shapes(tree):
    return {name: value.shape for name, value in tree.items()}


@pytest.mark.parametrize("name", list(TREES))
def test_published_configurations_have_the_originals_tensors(name):
    with torch.device("meta"):
        model = published(name)
    assert deepmind_shapes(model) == TREES[name]
    remembered = sum(math.prod(shape) for n, shape in TREES[name].items() if "_ema/" in n)
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(map(math.prod, TREES[name].values())) - remembered


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("language-perceiver", 201_108_230),
        ("optical-flow-perceiver", 41_057_134),
        ("vision-perceiver-fourier", 48_440_627),
        ("vision-perceiver-learned", 62_255_848),
    ],
)
def test_counts_of_the_original_code(name, count):
    """Counted where the original code ran."""
    assert sum(map(math.prod, TREES[name].values())) == count


@pytest.mark.parametrize(("variant", "count"), [("16", 99_224_996), ("256", 95_585_188), ("mini", 18_709_668)])
def test_hierarchical_counts_of_the_original_code(variant, count):
    """The counts that the original's own test states. Its module reads two data sets of two modalities, one after the
    other: their trees share all but the tensors that are named after a modality."""
    whole = {}
    for modalities in (
        {"imagenet_image": (1024, 3), "imagenet_label": (32, 1)},
        {"audioset_audio": (128, 16), "audioset_label": (16, 16)},
    ):
        with torch.device("meta"):
            model = hierarchical(variant, modalities, position_width=VARIANTS[variant]["embedding_width"])
        found = deepmind_shapes(model)
        assert found == hip_tree(variant, modalities)
        whole |= found
        assert sum(p.numel() for p in model.parameters()) == sum(map(math.prod, found.values()))
    assert sum(map(math.prod, whole.values())) == count


def test_16x3_has_the_originals_tensors():
    with torch.device("meta"):
        model = hierarchical("16x3", MODALITIES, position_width=32)
    assert deepmind_shapes(model) == hip_tree("16x3", MODALITIES)


def random_tree(wanted, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in wanted.items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], name)


@pytest.mark.parametrize("name", ["multimodal-perceiver", "vision-perceiver-conv", "perceiver-ar-copy-32"])
def test_published_trees_there_and_back(name):
    """Whole, at their size; the larger ones are tried thin below, and their shapes above."""
    tree = random_tree(TREES[name])
    model = from_deepmind(tree)
    assert not model.training
    same(to_deepmind(model), tree)


def small(name):
    """The kind of model at small sizes, and its tree."""
    encoder = {"latents": 3, "latent_width": 16, "self_attends": 3, "self_heads": 2}
    if name == "language":
        wide = {**encoder, "cross_qk_width": 8, "cross_v_width": 16, "self_qk_width": 8, "self_v_width": 16}
        model = masked_language_model(wide, width=8, length=9, vocabulary=30, qk_width=8, heads=2)
        return model, trees.language(3, 16, 8, 3, 9, 30, 8)
    if name == "flow":
        return optical_flow(encoder, shape=(4, 6)), trees.flow(3, 16, 3)
    if name == "learned":
        positions = LearnedPositions((224, 224), 256, project_to=256)
        inputs = GridTokens(Conv1x1(3, 256), positions)
        return classifier(inputs, encoder, 7), trees.imagenet("learned", 3, 16, 3, 7)
    if name == "hip":
        changes = {"widths": (8, 8, 16, 8, 8, 4, 4), "self_heads": (2,) * 7, "embedding_width": 8}
        model = hierarchical("16", MODALITIES, position_width=8, **changes)
        return model, hip_tree("16", MODALITIES, **changes)
    if name == "ar":
        model = PerceiverAR(
            19, length=12, latents=4, width=16, self_attends=60, heads=2, positions="learned", position_rows=(6, 6, 5)
        )
        return model, trees.autoregressive(19, 16, 60, (6, 6, 5))
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["language", "flow", "learned", "hip", "ar"])
def test_small_trees_there_and_back(name, tmp_path):
    model, wanted = small(name)
    tree = random_tree(wanted)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert from_deepmind(tree, model) is model
    assert all(not torch.equal(value, before[key]) for key, value in model.state_dict().items())
    same(to_deepmind(model, tmp_path / "tree.npz"), tree)
    same(read_tree(tmp_path / "tree.npz"), tree)


def test_hierarchical_variants_are_told_by_their_latents():
    tree = random_tree(hip_tree("mini", MODALITIES))
    model = from_deepmind(tree)
    assert model.lengths == {"image": 1024, "label": 32}
    assert not model.mask_padding
    same(to_deepmind(model), tree)


def two_levels(tree):
    found = {}
    for name, value in tree.items():
        module, parameter = name.rsplit("/", 1)
        found.setdefault(module, {})[parameter] = value
    return found


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_plain_arrays(protocol, tmp_path):
    """The published forms: mappings in mappings, parameters beside a batch norm's state, arrays of any order."""
    tree = random_tree(small("flow")[1])
    tree["other/fortran"] = np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3))
    tree["other/scalar"] = np.int64(3)
    path = tmp_path / "weights.pystate"
    path.write_bytes(pickle.dumps(two_levels(tree), protocol=protocol))
    same(read_tree(path), tree)
    nested = {"params": OrderedDict(two_levels(tree)), "state": two_levels({"norm/~/ema/average": np.ones(2)})}
    path.write_bytes(pickle.dumps(nested, protocol=protocol))
    same(read_tree(path), tree | {"norm/~/ema/average": np.ones(2)})


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class FlatMapping(dict):
    """Pickled under Haiku's name."""

    def __reduce__(self):
        return FlatMapping, (dict(self),)


FlatMapping.__module__ = "haiku._src.data_structures"


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType("haiku._src.data_structures")
    module.FlatMapping = FlatMapping
    with monkeypatch.context() as patched:
        for name in ("haiku", "haiku._src"):
            patched.setitem(sys.modules, name, types.ModuleType(name))
        patched.setitem(sys.modules, "haiku._src.data_structures", module)
        tree = FlatMapping({"module": FlatMapping({"w": np.ones((2, 3), np.float32)})})
        state = {"params": tree, "opt_state": Bomb(tmp_path / "made")}
        data, alone = pickle.dumps(state), pickle.dumps({"params": {"w": Bomb(tmp_path / "made")}})
    assert b"open" in data
    path = tmp_path / "weights.pickle"
    path.write_bytes(data)
    same(read_tree(path), {"module/w": np.ones((2, 3), np.float32)})
    path.write_bytes(alone)
    with pytest.raises(ValueError, match=r"w: expected an array or a mapping, got .*open"):
        read_tree(path)
    assert not (tmp_path / "made").exists()


def test_what_is_no_tree_is_refused(tmp_path):
    path = tmp_path / "weights.pickle"
    path.write_bytes(b"not a pickle")
    with pytest.raises(ValueError, match="neither a numpy archive nor a pickle of plain arrays"):
        from_deepmind(path)
    path.write_bytes(pickle.dumps({"w": np.array([object()])}))
    with pytest.raises(ValueError, match="expected numbers"):
        read_tree(path)
    with pytest.raises(ValueError, match="expected a parameter tree, or the path of one, got int"):
        read_tree(3)
    with pytest.raises(ValueError, match="the parameter tree is empty"):
        read_tree({})
    with pytest.raises(ValueError, match="not a tree of a published Perceiver"):
        from_deepmind({"resnet/w": np.zeros(3)})
    model, wanted = small("flow")
    tree = random_tree(wanted)
    with pytest.raises(ValueError, match=r"unexpected \['surplus'\]"):
        from_deepmind({**tree, "surplus": np.zeros(3)}, model)
    with pytest.raises(ValueError, match=r"patches_linear/b is \[3\], but this model's is \[64\]"):
        from_deepmind({**tree, "image_preprocessor/patches_linear/b": np.zeros(3)}, model)
    with pytest.raises(ValueError, match="build the model and give it as model="):
        from_deepmind(tree)
    with pytest.raises(ValueError, match="build with tie_embeddings=False"):
        to_deepmind(PerceiverAR(11, length=6, latents=2, width=8, heads=2, tie_embeddings=True))
    with pytest.raises(ValueError, match="expected a PerceiverIO"):
        to_deepmind(torch.nn.Linear(2, 2))
