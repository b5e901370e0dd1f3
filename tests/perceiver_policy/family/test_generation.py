"""Writing on with Perceiver AR: cached and not, one text and several, to the end of the context and beyond."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.generation import Drawing

VOCABULARY, LENGTH, LATENTS = 11, 24, 6


def small(**options) -> PerceiverAR:
    torch.manual_seed(0)
    sizes = {"length": LENGTH, "latents": LATENTS, "width": 16, "self_attends": 2, "heads": 2, "rotated": 0.5}
    model = PerceiverAR(VOCABULARY, **(sizes | options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def uncached(model: PerceiverAR, ids: torch.Tensor, count: int, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Logits of every next token by whole forward passes: the context moves on by half the latents when it is full, and
    the latents start anew at half of them when they are full. The likeliest token is appended."""
    mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    ids, mask = ids[:, -model.length :], mask[:, -model.length :]
    half, latents, found = max(model.latents // 2, 1), min(model.latents, ids.shape[1]), []
    for t in range(count):
        if t:
            if ids.shape[1] == model.length:
                ids, mask, latents = ids[:, half:], mask[:, half:], model.latents
            ids = torch.cat((ids, found[-1].argmax(-1)[:, None]), 1)
            mask = torch.cat((mask, mask.new_ones(len(ids), 1)), 1)
            latents = latents + 1 if latents < model.latents else half
        found.append(model(ids, mask, latents=latents)[:, -1])
    return found


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_logits_with_a_cache_are_those_of_whole_passes_to_the_end_and_beyond(positions, padded):
    model = small(positions=positions)
    ids = torch.randint(VOCABULARY, (3, 9))
    mask = torch.ones(3, 9, dtype=torch.bool)
    if padded:
        mask[0, :4] = mask[1, :7] = False
    wanted = uncached(model, ids, 3 * LENGTH, mask)
    logits, cache = model.start(ids, mask)
    for t, expected in enumerate(wanted):
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
        if cache.used == LENGTH:
            model.forget(cache, LATENTS // 2)
        if t + 1 < len(wanted):
            logits, cache = model.step(expected.argmax(-1), cache)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 40),
    st.lists(st.integers(1, 15), min_size=1, max_size=3),
    st.booleans(),
)
def test_generate_is_greedy_decoding_without_a_cache(length, latents, count, prompts, right):
    model = small(length=length, latents=min(latents, length), positions="rotary")
    rows = [torch.randint(VOCABULARY, (n,)) for n in prompts]
    longest = max(prompts)
    left = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        left[i, longest - len(row) :], mask[i, longest - len(row) :] = row, True
    wanted = [logits.argmax(-1) for logits in uncached(model, left, count, mask)]
    ids, valid = left, mask
    if right:  # the same texts, padded on the other side
        ids = torch.stack([row.roll(-(longest - n)) for row, n in zip(left, prompts, strict=True)])
        valid = torch.stack([row.roll(-(longest - n)) for row, n in zip(mask, prompts, strict=True)])
    found = model.generate(ids, count, mask=valid, temperature=0.0)
    assert found.shape == (len(rows), count)
    assert found.T.tolist() == [row.tolist() for row in wanted]
    assert torch.equal(found, model.generate([row.tolist() for row in rows], count, temperature=0.0))


def test_memory_is_set_aside_once():
    model = small(positions="rotary")
    ids = torch.randint(VOCABULARY, (2, 5))
    _, cache = model.start(ids, room=8)
    places = [cache.cross[0].data_ptr(), *(keys.data_ptr() for keys, _ in cache.layers)]
    assert cache.cross[0].shape[2] == 13
    branch = copy.deepcopy(cache)
    for _ in range(8):
        model.step(torch.zeros(2, dtype=torch.long), cache)
    assert places == [cache.cross[0].data_ptr(), *(keys.data_ptr() for keys, _ in cache.layers)]
    model.step(torch.zeros(2, dtype=torch.long), cache)  # more than was asked for: it grows
    assert cache.cross[0].shape[2] == LENGTH
    while cache.used < LENGTH:
        model.step(torch.zeros(2, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="the context is full: 24 positions"):
        model.step(torch.zeros(2, dtype=torch.long), cache)
    again, _ = model.step(torch.ones(2, dtype=torch.long), branch)
    _, fresh = model.start(ids)
    torch.testing.assert_close(again, model.step(torch.ones(2, dtype=torch.long), fresh)[0])


def test_streaming_gives_each_token_when_it_is_drawn():
    model = small()
    ids = torch.randint(VOCABULARY, (2, 5))
    calls = []
    handle = model.norm.register_forward_hook(lambda *_: calls.append(1))
    stream = model.stream(ids, 10, generator=torch.Generator().manual_seed(3))
    drawn = []
    for t, token in enumerate(stream):
        drawn.append(token)
        assert len(calls) == t + 1  # one pass a token, none ahead
    handle.remove()
    assert torch.equal(torch.stack(drawn, 1), model.generate(ids, 10, generator=torch.Generator().manual_seed(3)))


def test_stop_tokens_end_each_text_and_then_all():
    model = small()
    ids = torch.randint(VOCABULARY, (4, 5))
    free = model.generate(ids, 40, temperature=0.0)
    stop = [int(free[0, 3]), int(free[1, 5])]
    found = model.generate(ids, 40, temperature=0.0, stop=stop)
    ends = [next((t for t, token in enumerate(row.tolist()) if token in stop), 39) for row in free]
    for row, known, end in zip(found, free, ends, strict=True):
        assert torch.equal(row[: end + 1], known[: end + 1])
        assert (row[end:] == row[end]).all()
    assert found.shape[1] == max(ends) + 1
    assert model.generate(ids[:1], 40, temperature=0.0, stop=int(free[0, 0])).shape == (1, 1)


def test_drawing_keeps_the_nucleus():
    p = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.1, 0.1, 0.7]]).repeat(4000, 1)
    draw = {"generator": torch.Generator().manual_seed(0)}
    for top_p, first, second in (
        (0.79, {0, 1}, {0, 1, 2, 3}),
        (0.5, {0}, {3}),
        (0.81, {0, 1, 2}, None),
        (1.0, None, None),
    ):
        tokens = Drawing(top_p=top_p, **draw)(p.log())
        if first:
            assert set(tokens[::2].tolist()) == first
        if second:
            assert set(tokens[1::2].tolist()) <= second
    tokens = Drawing(top_p=0.79, **draw)(p.log())[::2]
    assert abs(float((tokens == 0).float().mean()) - 0.5 / 0.8) < 0.04
    assert set(Drawing(top=2, **draw)(p.log())[::2].tolist()) == {0, 1}
    assert set(Drawing(temperature=0.05, **draw)(p.log())[::2].tolist()) == {0}
    assert Drawing(temperature=0.0)(p.log())[:2].tolist() == [0, 3]


def test_decoding_in_training_mode_is_decoding():
    """Dropout, of the prefix too, is for training steps."""
    model = small(prefix_dropout=0.5, dropout=0.5)
    ids = torch.randint(VOCABULARY, (2, 20))
    wanted = model.generate(ids, 30, temperature=0.0)
    model.train()
    model.layers[0].eval()
    assert torch.equal(model.generate(ids, 30, temperature=0.0), wanted)
    assert model.training
    assert model.cross.training
    assert not model.layers[0].training


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_wholly_in_half_precision(dtype):
    model = small().to(dtype)
    ids = torch.randint(VOCABULARY, (2, 7))
    assert model(ids).dtype == dtype
    assert model(ids).isfinite().all()
    torch.testing.assert_close(model(ids).float(), small()(ids), rtol=0.1, atol=0.1)
    assert model.generate(ids, 30, top_p=0.9).shape == (2, 30)


def test_nothing_to_draw():
    assert small().generate(torch.zeros(3, 4, dtype=torch.long), 0).shape == (3, 0)
    assert list(small().stream(torch.zeros(3, 4, dtype=torch.long), 0)) == []


MASK = torch.tensor([[True, True], [False, False]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 12}, "top is 12: expected 1 to 11, the size of the vocabulary"),
        ({"top": 0}, "top is 0: expected 1 to 11"),
        ({"top_p": 0.0}, "top_p is 0.0: expected a probability above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"temperature": -1.0}, "temperature is -1.0: expected 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"count": -1}, "count is -1: expected 0 or more"),
        ({"stop": 11}, "stop token 11: expected 0 to 10"),
        ({"latents": 7}, "latents is 7: expected 1 to 6"),
        ({"ids": torch.zeros(2, 0, dtype=torch.long)}, "prompt 0 is empty: give at least one token"),
        ({"ids": [[1, 2], []]}, "prompt 1 is empty"),
        ({"mask": MASK}, "prompt 1 is empty"),
        ({"mask": MASK[:, :1]}, "expected one value a token"),
        ({"mask": MASK.float()}, "expected a boolean mask"),
        ({"ids": torch.tensor([[3, 11]])}, "prompts hold ids from 3 to 11, but the vocabulary goes from 0 to 10"),
        ({"ids": torch.zeros(2, 3)}, r"expected integers \[batch, length\], got torch\.float32"),
        ({"ids": torch.zeros(3, dtype=torch.long)}, "expected integers"),
        ({"ids": [[1]], "mask": MASK}, "a mask is for prompts in one array"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(options, message):
    arguments = {"ids": torch.ones(2, 2, dtype=torch.long), "count": 3} | options
    with pytest.raises(ValueError, match=message):
        small().generate(**arguments)


def test_texts_that_end_in_padding_are_no_start():
    with pytest.raises(ValueError, match="a text ends in padding"):
        small().start(torch.ones(2, 2, dtype=torch.long), torch.tensor([[True, False], [True, True]]))
