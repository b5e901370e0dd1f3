"""LAMB, the papers' optimizer, from a library: it takes every parameter of a model here."""

import pytest
import torch

from tests.perceiver_policy.members import make


@pytest.mark.parametrize("name", ["image classifier, Fourier", "Hierarchical Perceiver"])
def test_lamb_trains(name):
    optimizers = pytest.importorskip("pytorch_optimizer")
    model, inputs, _ = make(name)
    optimizer = optimizers.Lamb(model.train().parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        outputs = model(inputs)
        if isinstance(outputs, dict):
            loss = sum((outputs[key] - inputs[key]).square().mean() for key in inputs)
        else:
            loss = torch.nn.functional.cross_entropy(outputs, torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.93 * losses[0]
