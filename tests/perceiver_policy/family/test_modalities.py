"""Inputs: shapes and orders written out by hand, bytes against the published tokenizer, mixtures."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from perceiver_policy.core.positions import FourierPositions, LearnedPositions, fourier_features
from perceiver_policy.family.modalities import (
    CLS,
    PAD,
    SEP,
    AudioPatches,
    ByteTokens,
    Conv1x1,
    ConvStem,
    GridTokens,
    Modalities,
    OneVector,
    Patches,
    Pixels,
    PointTokens,
    SetTokens,
    decode_text,
    encode_text,
)


def test_pixels_with_positions_side_by_side_or_added():
    images = torch.randn(2, 3, 4, 5)
    inputs = GridTokens(Pixels(3), FourierPositions((4, 5), 2))
    tokens, mask = inputs(images)
    assert mask is None
    assert tokens.shape == (2, 20, inputs.width)
    assert torch.equal(tokens[1, 7, :3], images[1, :, 1, 2])
    assert torch.equal(tokens[0, :, 3:], inputs.positions()[0])
    added = GridTokens(Conv1x1(3, 6), LearnedPositions((4, 5), 6), combine="add")
    torch.testing.assert_close(added(images)[0], added.stem(images).flatten(1, 2) + added.positions())
    with pytest.raises(ValueError, match="positions of width 5 cannot be added to a stem of width 6"):
        GridTokens(Conv1x1(3, 6), LearnedPositions((4, 5), 5), combine="add")


def test_patches_in_the_published_order():
    video = torch.arange(1 * 4 * 2 * 4 * 6).reshape(1, 4, 2, 4, 6).float()
    patches = Patches(2, spatial=2, temporal=2)(video)
    assert patches.shape == (1, 2, 2, 3, 16)
    expected = [
        video[0, 2 + t, c, 2 + i, 4 + j] for t in range(2) for i in range(2) for j in range(2) for c in range(2)
    ]
    assert patches[0, 1, 1, 2].tolist() == [float(v) for v in expected]
    assert Patches(3, spatial=2)(torch.randn(2, 3, 4, 4)).shape == (2, 2, 2, 12)
    with pytest.raises(ValueError, match="1 x 5 x 4 do not divide into patches of 1 x 2 x 2"):
        Patches(3, spatial=2)(torch.randn(2, 3, 5, 4))


def test_conv_stems_have_the_sizes_of_both_codes():
    images = torch.randn(1, 3, 224, 224)
    assert ConvStem(3, 4).eval()(images).shape == (1, 56, 56, 4)
    assert ConvStem(3, 4, padding="transformers").eval()(images).shape == (1, 55, 55, 4)


def test_same_padding_puts_the_odd_cell_after():
    stem = ConvStem(1, 2).eval()
    images = torch.randn(1, 1, 8, 8)
    x = F.relu(stem.norm(F.conv2d(F.pad(images, (2, 3, 2, 3)), stem.conv.weight, stride=2)))
    by_hand = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 3, 2)
    torch.testing.assert_close(stem(images), by_hand.permute(0, 2, 3, 1))


def test_audio_and_vectors():
    audio = torch.arange(24.0).reshape(2, 12)
    assert AudioPatches(4)(audio)[1, 2].tolist() == [20, 21, 22, 23]
    assert torch.equal(AudioPatches(4)(audio[..., None]), AudioPatches(4)(audio))
    with pytest.raises(ValueError, match="12 samples does not divide into patches of 5"):
        AudioPatches(5)(audio)
    assert GridTokens(OneVector(3))(torch.ones(2, 3))[0].shape == (2, 1, 3)


def test_text_is_utf8_between_special_tokens():
    ids, mask = encode_text(["né", "a"])
    assert ids.tolist() == [[CLS, 6 + 110, 6 + 0xC3, 6 + 0xA9, SEP], [CLS, 6 + 97, SEP, PAD, PAD]]
    assert mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert decode_text(ids) == ["né", "a"]
    cut, _ = encode_text("abcdef", 4)
    assert cut.tolist() == [[CLS, 6 + 97, 6 + 98, SEP]]


def test_text_as_the_published_tokenizer():
    tokenizer = pytest.importorskip("transformers").PerceiverTokenizer()
    texts = ["An incomplete sentence.", "Zürich, 東京"]
    theirs = tokenizer(texts, padding="longest", return_tensors="pt")
    ids, mask = encode_text(texts)
    assert torch.equal(ids, theirs.input_ids)
    assert torch.equal(mask, theirs.attention_mask.bool())


def test_byte_tokens_have_a_length():
    inputs = ByteTokens(8, length=5)
    tokens, _ = inputs(torch.tensor([[1, 2, 3]]))
    assert torch.equal(tokens[0, 2], inputs.embedding.weight[3] + inputs.positions.weight[2])
    with pytest.raises(ValueError, match="text of 6 tokens, but the model has positions for 5"):
        inputs(torch.zeros(1, 6, dtype=torch.long))


def test_points_have_their_own_positions():
    points = torch.rand(2, 5, 4) * 2 - 1
    inputs = PointTokens(3, 4, 20.0, features=1)
    tokens, _ = inputs(points)
    assert tokens.shape == (2, 5, inputs.width)
    for b in range(2):
        alone = fourier_features(points[b : b + 1, :, :3], 4, (20.0,) * 3)
        assert torch.equal(tokens[b : b + 1, :, :-1], alone)
    assert torch.equal(tokens[..., -1], points[..., 3])


def test_padding_of_a_set_may_hold_anything():
    inputs = SetTokens(3, 4)
    entities, mask = torch.randn(1, 3, 3), torch.tensor([[True, True, False]])
    entities[0, 2] = float("nan")
    assert inputs(entities, mask)[0].isfinite().all()


def mixture(**options):
    torch.manual_seed(0)
    return Modalities(
        {"sound": GridTokens(AudioPatches(4), FourierPositions((3,), 2)), "label": GridTokens(OneVector(7))}, **options
    )


def test_modalities_are_padded_to_one_width_in_order_of_names():
    inputs = mixture(padding=3)
    assert inputs.width == 9 + 3
    data = {"sound": torch.randn(2, 12), "label": torch.randn(2, 7)}
    tokens, mask = inputs(data)
    assert mask is None
    assert torch.equal(tokens[:, 0, :7], data["label"])
    assert torch.equal(tokens[1, 0, 7:], inputs.padding["label"])
    assert torch.equal(tokens[1, 2, :4], data["sound"][1, 4:8])
    assert torch.equal(tokens[1, 2, 9:], inputs.padding["sound"])
    with pytest.raises(ValueError, match="missing modality 'sound'"):
        inputs({"label": data["label"]})


def test_masks_by_modality():
    inputs = mixture()
    data = {"sound": torch.randn(2, 12), "label": torch.randn(2, 7)}
    sound = torch.tensor([[True, False, True], [False, False, True]])
    _, mask = inputs(data, {"sound": sound})
    assert mask.tolist() == [[True, True, False, True], [True, False, False, True]]


def test_hidden_modalities():
    data = {"sound": torch.randn(2, 12), "label": torch.randn(2, 7)}
    inputs = mixture(masking={"label": 1.0, "sound": 0.5})
    for module in (inputs, inputs.eval()):
        assert torch.equal(module(data)[0][:, 0], inputs.mask_tokens["label"].expand(2, -1))
    assert torch.equal(inputs(data)[0][:, 1:, :4].flatten(1), data["sound"])
    inputs.train()
    hidden = torch.cat([(inputs(data)[0][:, 1:] == inputs.mask_tokens["sound"]).all(-1) for _ in range(100)])
    assert 0.3 < float(hidden.float().mean()) < 0.7
    assert isinstance(inputs.mask_tokens["sound"], nn.Parameter)
