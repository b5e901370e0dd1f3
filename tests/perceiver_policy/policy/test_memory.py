"""One step of the latents' memory, number by number."""

import math

import torch

from perceiver_policy.policy.memory import LatentMemory


def test_a_step_is_the_gated_units() -> None:
    """Cho et al. 2014, arXiv 1406.1078, equation 7: h = z h_before + (1 - z) candidate; z is what the gate leaves."""
    torch.manual_seed(0)
    memory = LatentMemory(2, 3)
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter += torch.randn_like(parameter)
    before, latents = torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    after = memory(before, latents).detach()
    weight, bias = memory.write.weight.tolist(), memory.write.bias.tolist()
    for n in range(2):
        for d in range(3):

            def row(i: int, n: int = n) -> float:
                return sum(w * float(x) for w, x in zip(weight[i], latents[0, n], strict=True)) + bias[i]

            candidate, gate = math.tanh(row(d)), 1 / (1 + math.exp(-row(3 + d)))
            expected = (1 - gate) * float(before[0, n, d]) + gate * candidate
            assert abs(float(after[0, n, d]) - expected) < 1e-5
    start = memory.start(torch.ones(1, 2, 3), before)
    torch.testing.assert_close(start, 1 + before @ memory.read.weight.T)


def test_a_fresh_memory_holds_on_to_most_of_what_it_knows() -> None:
    """Its gate starts at sigmoid(-1) = .27, and its candidates around 0, whatever the latents are like."""
    torch.manual_seed(0)
    memory = LatentMemory(2, 64)
    after = memory(torch.full((1, 2, 64), 5.0), torch.zeros(1, 2, 64))
    torch.testing.assert_close(after, torch.full_like(after, 5 * (1 - 0.2689)), atol=0.25, rtol=0)
    assert memory.initial(4).shape == (4, 2, 64)
    assert not memory.initial(4).any()
