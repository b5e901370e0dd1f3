"""What is masked changes nothing, whatever it holds; a mask is of booleans, or refused."""

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from perceiver_policy.core.attention import Attention, SelfAttention, attend, attention_weights
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.latents import InputLatents
from perceiver_policy.family.hierarchical import Block
from perceiver_policy.family.modalities import ByteTokens, GridTokens, Modalities, Pixels, SetTokens
from perceiver_policy.family.resampler import Resampler
from tests.perceiver_policy.members import MEMBERS, make, some

MASKED = [name for name, member in MEMBERS.items() if member.mask is not None]


def valid_parts(output, mask: Tensor | None):
    """The answers of valid inputs: where there is one answer an input, those of masked inputs mean nothing."""
    if isinstance(output, dict):
        return {name: valid_parts(value, mask) for name, value in output.items()}
    flat = output.flatten(1, 2) if output.dim() == 4 else output
    if isinstance(mask, Tensor) and flat.dim() == 3 and flat.shape[:2] == mask.shape:
        return flat[mask]
    return output


def poison(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """The inputs with `value` wherever the mask is False, which covers as many elements as there are a token."""
    if not x.is_floating_point():
        return x.masked_fill(~mask, -100)
    if x.dim() == 3:
        return x.masked_fill(~mask[..., None], value)
    if x.dim() == 4 and mask.dim() == 3:
        return x.masked_fill(~mask[..., None], value)
    height, width = x.shape[-2:]
    side = round((height * width / mask.shape[1]) ** 0.5)
    rows = (height - 1) // side + (1 if height % side == 0 else 0)
    grid = mask.unflatten(1, (rows, -1)).repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :height, :width]
    hidden = torch.zeros(x.shape[0], height, width, dtype=torch.bool)
    hidden[:, : grid.shape[1], : grid.shape[2]] = ~grid
    return torch.where(hidden.view(x.shape[0], *[1] * (x.dim() - 3), height, width), torch.tensor(value), x)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
@pytest.mark.parametrize("name", [n for n in MASKED if "multimodal" not in n])
def test_masked_inputs_change_nothing(name, value):
    results = []
    for poisoned in (False, True):
        model, inputs, keywords = make(name)
        mask = MEMBERS[name].mask()
        if poisoned:
            if isinstance(inputs, dict):
                inputs = {key: poison(x, mask[key], value) for key, x in inputs.items()}
            else:
                inputs = poison(inputs, mask, value)
            assert any(not x.isfinite().all() or x.abs().max() > 99 for x in pytree.tree_leaves(inputs))
        output = valid_parts(model(inputs, mask, **keywords), mask)
        sum(leaf.square().sum() for leaf in pytree.tree_leaves(output)).backward()
        results.append((output, [p.grad for p in model.parameters()]))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    assert all(g.isfinite().all() for g in results[1][1] if g is not None)


@pytest.mark.parametrize("joint", [True, False])
def test_masked_modalities_change_nothing(joint):
    results = []
    for value in (0.0, float("nan")):
        model, inputs, _ = make("multimodal autoencoder")
        inputs["audio"][1, 16:48] = value
        inputs["image"][0, 1, :, 4:, :4] = value
        audio, image = torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 2, 2, 2, dtype=torch.bool)
        audio[1, 1:3] = image[0, 1, 1, 0] = False
        mask = {"audio": audio, "image": image}
        if joint:
            mask = torch.cat((audio, image.flatten(1), torch.ones(2, 1, dtype=torch.bool)), 1)
        output = model(inputs, mask)
        sum(part.square().sum() for part in output.values()).backward()
        results.append((output, [p.grad for p in model.parameters()]))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    with pytest.raises(ValueError, match="for 13 tokens: expected one value a token"):
        model(inputs, torch.ones(2, 12, dtype=torch.bool))


def test_keys_and_values_made_once_with_their_mask():
    torch.manual_seed(0)
    encoder, mask = Encoder(5, latents=3, latent_width=8, self_heads=2), some(2, 9)()
    x = torch.randn(2, 9, 5)
    bad = x.masked_fill(~mask[..., None], float("nan"))
    made = encoder(mask=mask, keys_values=encoder.keys_values(bad, mask))
    torch.testing.assert_close(made, encoder(x, mask=mask), rtol=0, atol=0)


def test_masked_queries_change_nothing():
    torch.manual_seed(0)
    decoder, latents, valid = Decoder(6, 8, output_width=2), torch.randn(2, 4, 8), some(2, 7)()
    queries = torch.randn(2, 7, 6)
    answers = decoder(queries.masked_fill(~valid[..., None], float("nan")), latents, query_mask=valid)
    torch.testing.assert_close(answers, decoder(queries, latents, query_mask=valid), rtol=0, atol=0)
    answers.sum().backward()
    assert all(p.grad.isfinite().all() for p in decoder.parameters())


ATTENTION = Attention(8, heads=2)
X = torch.randn(2, 6, 8)
PAIR = ATTENTION.keys_values(X)
BY_MASK = {
    "attend": lambda m: attend(ATTENTION.queries(X), *PAIR, m),
    "attention_weights": lambda m: attention_weights(ATTENTION.queries(X), PAIR[0], m),
    "Attention": lambda m: ATTENTION(X, PAIR, m),
    "SelfAttention": lambda m: SelfAttention(8, heads=2)(X, m),
    "Encoder": lambda m: Encoder(8, latents=3, latent_width=8, self_heads=2)(X, mask=m),
    "InputLatents": lambda m: InputLatents(8, 3, 4)(X, m),
    "Decoder": lambda m: Decoder(8, 8)(X, X, query_mask=m),
    "Block": lambda m: Block(8, 8, groups=1, latents=2, self_attends=1, self_heads=2)(X[:, None], None, m[:, None]),
    "Resampler": lambda m: Resampler(8, depth=1, latents=2, heads=2)(X, m),
    "GridTokens": lambda m: GridTokens(Pixels(8))(X.view(2, 8, 2, 3), m)[0],
    "SetTokens": lambda m: SetTokens(8, 4)(X, m)[0],
    "ByteTokens": lambda m: ByteTokens(8)(torch.ones(2, 6, dtype=torch.long), m)[0],
    "Modalities": lambda m: Modalities({"x": SetTokens(8, 4)})({"x": X}, m)[0],
}


@pytest.mark.parametrize("where", list(BY_MASK))
def test_a_mask_of_numbers_is_booleans_or_refused(where):
    mask = some(2, 6)()

    def run(m: Tensor) -> Tensor:
        torch.manual_seed(3)
        return BY_MASK[where](m)

    torch.testing.assert_close(run(mask.long()), run(mask), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"expected a boolean mask, True = valid, got torch\.float32"):
        run(mask.float())


def test_attention_masks_are_read_as_tokenizers_give_them():
    for name in ("Perceiver, on points", "masked language model", "several tasks"):
        model, inputs, _ = make(name)
        mask = MEMBERS[name].mask()
        torch.testing.assert_close(model(inputs, mask.float()), model(inputs, mask), rtol=0, atol=0)


def test_masks_of_another_size_are_refused_in_words():
    x = torch.randn(2, 6, 8)
    encoder = Encoder(8, latents=3, latent_width=8, self_heads=2)
    with pytest.raises(ValueError, match=r"a mask \(2, 5\) for inputs \(2, 6, 8\): expected one value a token"):
        encoder(x, mask=torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"expected a mask \[batch, tokens\] or .*, got \(2, 1, 6\)"):
        encoder(x, mask=torch.ones(2, 1, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"a mask of 5 values an input, but the inputs are \(2, 3\) cells"):
        GridTokens(Pixels(8))(x.view(2, 8, 2, 3), torch.ones(2, 5, dtype=torch.bool))
