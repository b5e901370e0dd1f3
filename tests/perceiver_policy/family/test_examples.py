"""Every example of docs/perceiver.md, shortened: it runs, it learns a little, and the page names it."""

import importlib
import re
from pathlib import Path

import pytest
import torch

from examples.perceiver.pictures import traced
from perceiver_policy.core.attention import attention_maps
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.family.perceiver import PerceiverIO, Task
from perceiver_policy.family.queries import learned_queries

PAGE = Path(__file__).parents[3] / "docs" / "perceiver.md"


@pytest.mark.parametrize(
    ("name", "options", "figure", "low", "high"),
    [
        ("digits", {"steps": 50}, "accuracy", 0.1, 1.0),
        ("digits", {"steps": 10, "permute": True}, "accuracy", 0.02, 1.0),
        ("points", {"steps": 3}, "pointnet", 0.02, 1.0),
        ("sound", {"steps": 3}, "precision", 0.15, 1.0),
        ("bytes", {"steps": 20}, "accuracy", 0.15, 1.0),
        ("flow", {"steps": 10}, "error", 0.0, 1.8),
        ("multimodal", {"steps": 10}, "video", 12.0, 99.0),
        ("copying", {"steps": 10, "length": 16}, "accuracy", 0.02, 1.0),
        ("hierarchy", {"steps": 6, "size": 32}, "error", 0.0, 3.0),
    ],
)
def test_example_runs(name, options, figure, low, high, tmp_path):
    module = importlib.import_module(f"examples.perceiver.{name}")
    if name in ("digits", "sound"):
        pytest.importorskip("sklearn")
    picture = tmp_path / "attention.png"
    assert low <= module.main(**options, picture=str(picture))[figure] <= high
    assert picture.stat().st_size > 2000


def test_what_is_traced_through_the_latents_is_the_product_of_the_steps():
    """Rollout by hand, one latent at a time: read, half kept and half mixed in every layer, asked."""
    torch.manual_seed(0)
    encoder = Encoder(4, latents=3, latent_width=8, cross_attends=2, self_attends=1, self_heads=2)
    model = PerceiverIO(encoder, Task(Decoder(8, 8), learned_queries(2, 8)))
    x = torch.randn(1, 5, 4)
    maps = {name: weights[0].mean(0) for name, weights in attention_maps(model, x).items()}
    first, again = maps["encoder.cross.0.attention"], maps["encoder.cross.1.attention"]
    mixed = 0.5 * first + 0.5 * torch.stack([(row[:, None] * first).sum(0) for row in maps["encoder.blocks.0.0"]])
    mixed = 0.5 * mixed + 0.5 * again
    mixed = 0.5 * mixed + 0.5 * torch.stack([(row[:, None] * mixed).sum(0) for row in maps["encoder.blocks.0.0#1"]])
    asked = torch.stack([(row[:, None] * mixed).sum(0) for row in maps["task.decoder.cross.attention"]])
    torch.testing.assert_close(traced(model, x)[0], asked)
    torch.testing.assert_close(asked.sum(-1), torch.ones(2))


def test_all_examples_are_on_the_page():
    files = {path.stem for path in (PAGE.parents[1] / "examples" / "perceiver").glob("*.py")} - {
        "__init__",
        "training",
        "baselines",
        "pictures",
    }
    named = set(re.findall(r"python -m examples\.perceiver\.(\w+)", PAGE.read_text()))
    assert named == files


def test_code_on_the_page_runs():
    """The page's Python, top to bottom in one namespace, without what needs a download."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
