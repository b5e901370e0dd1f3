"""Hiding bytes, and filling holes."""

import pytest
import torch
from torch import nn

from perceiver_policy.family.modalities import MASK, encode_text
from perceiver_policy.family.presets import masked_language_model
from perceiver_policy.family.processing.text import fill_mask, hide_tokens, masked_loss


def test_shares_of_what_is_hidden():
    ids, mask = encode_text(["a" * 4000, "b" * 2500])
    read, asked = hide_tokens(ids, mask, share=0.2, generator=torch.Generator().manual_seed(0))
    assert not asked[~mask].any()
    assert not asked[ids < 6].any()
    assert torch.equal(read[~asked], ids[~asked])
    total = int(asked.sum())
    assert abs(total / 6500 - 0.2) < 0.02
    hidden, stay = (read == MASK) & asked, (read == ids) & asked
    assert abs(int(hidden.sum()) / total - 0.8) < 0.04
    assert abs(int(stay.sum()) / total - 0.1) < 0.03
    assert int(read.max()) < 262
    again = hide_tokens(ids, mask, share=0.2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again[0], read)
    assert not hide_tokens(ids, share=0.0)[1].any()
    assert torch.equal(hide_tokens(ids, mask, share=1.0)[1], mask & (ids >= 6))
    with pytest.raises(ValueError, match=r"share is 1\.5: expected 0 to 1"):
        hide_tokens(ids, share=1.5)


def test_whole_words_are_hidden():
    words = [f"word{i}" for i in range(500)]
    ids, mask = encode_text(" ".join(words))
    _, asked = hide_tokens(ids, mask, words=True, generator=torch.Generator().manual_seed(1))
    at, hidden = 1, 0
    for word in words:
        part = asked[0, at : at + len(word)]
        assert part.all() or not part.any()
        hidden += bool(part.any())
        at += len(word) + 1
    assert 40 < hidden < 110


class Knows(nn.Module):
    """A model that knows the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids = encode_text(text)[0]
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, ids, mask):
        assert ids.shape == self.ids.shape
        assert int((ids == MASK).sum()) == int((ids != self.ids).sum())
        assert not self.training
        return self.scale * nn.functional.one_hot(self.ids, 262).float()


def test_holes_are_filled_with_the_likeliest_bytes():
    model = Knows("naïve text, é.")
    filled = fill_mask(model, "na[MASK][MASK]ve [MASK]ext, é[MASK]", top=3)
    assert filled.text == "naïve text, é."
    assert [row[0][0] for row in filled.choices] == [b"\xc3", b"\xaf", b"t", b"."]
    assert all(len(row) == 3 and row[0][1] > 0.9 for row in filled.choices)
    assert model.training
    with pytest.raises(ValueError, match="there is nothing to fill"):
        fill_mask(model, "naïve")
    with pytest.raises(ValueError, match="top is 0"):
        fill_mask(model, "[MASK]", top=0)


def test_a_small_model_learns_to_fill():
    torch.manual_seed(0)
    sizes = {"latents": 8, "latent_width": 32, "self_attends": 1, "self_heads": 2}
    model = masked_language_model(sizes, width=32, length=16, qk_width=16, heads=2)
    ids, mask = encode_text(["abcabcabc", "bcabcabca"])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(250):
        read, asked = hide_tokens(ids, mask, share=0.3)
        if asked.any():
            optimizer.zero_grad()
            masked_loss(model(read, mask), ids, asked).backward()
            optimizer.step()
    assert fill_mask(model, "abc[MASK]bcabc").text == "abcabcabc"
