"""Every member, every way of keeping and running it. The table in docs/perceiver.md is this one."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

from perceiver_policy.family.saving import load, save
from tests.perceiver_policy.members import MEMBERS, make

DOCS = Path(__file__).resolve().parents[2] / "docs" / "perceiver.md"


def saved(name: str, folder: Path) -> None:
    model, inputs, keywords = make(name)
    save(model, folder)
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    same(load(folder), model, inputs, keywords)


def meta(name: str, folder: Path) -> None:
    """Built without memory, given some, loaded: the way of sharded training."""
    model, inputs, keywords = make(name)
    with torch.device("meta"):
        again = MEMBERS[name].build().eval()
    again.to_empty(device="cpu").load_state_dict(model.state_dict())
    same(again, model, inputs, keywords)


def half(name: str, folder: Path) -> None:
    exact, inputs, keywords = make(name)
    wanted = exact(inputs, **keywords)
    for dtype in (torch.bfloat16, torch.float16):
        model, inputs, keywords = make(name)
        model = model.to(dtype)
        given, named = lower((inputs, keywords), dtype)
        output = model(given, **named)
        for found, known in zip(pytree.tree_leaves(output), pytree.tree_leaves(wanted), strict=True):
            assert found.dtype == dtype
            scale = float(known.square().mean().sqrt())
            assert float((found.float() - known).abs().max()) < 0.15 * scale
        sum(part.float().square().sum() for part in pytree.tree_leaves(model(given, **named))).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        if dtype == torch.bfloat16:
            save(model, folder)
            again = load(folder)
            assert {p.dtype for p in again.parameters()} == {dtype}
            same(again, model, given, named)


def compiled(name: str, folder: Path) -> None:
    model, inputs, keywords = make(name)
    torch._dynamo.reset()
    again = torch.compile(model, fullgraph=True)
    close(again(inputs, **keywords), model(inputs, **keywords))


def exported(name: str, folder: Path) -> None:
    """One program for every batch, which also survives being written and read."""
    model, inputs, keywords = make(name)
    program = torch.export.export(model, (inputs,), keywords, dynamic_shapes=batches(inputs, keywords))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    again = torch.export.load(buffer).module()
    larger = pytree.tree_map(lambda x: torch.cat((x, x[:1])), (inputs, keywords))
    close(again(larger[0], **larger[1]), model(larger[0], **larger[1]))


def onnx(name: str, folder: Path) -> None:
    """Written to a file and run by ONNX Runtime."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, inputs, keywords = make(name)
    # By name: the exporter takes a dict that comes last for keywords.
    first = next(iter(inspect.signature(model.forward).parameters))
    named = {first: inputs, **keywords}
    shapes = dict(zip(named, batches(inputs, keywords), strict=True))
    file = folder / "model.onnx"
    folder.mkdir(exist_ok=True)
    options: dict[str, Any] = {"dynamo": True, "dynamic_shapes": shapes, "verbose": False}
    torch.onnx.export(model, (), file, kwargs=named, **options)
    session = runtime.InferenceSession(file)
    larger = pytree.tree_map(lambda x: torch.cat((x, x[:1])), (inputs, keywords))
    given = dict(
        zip([i.name for i in session.get_inputs()], [x.numpy() for x in pytree.tree_leaves(larger)], strict=True)
    )
    found = session.run(None, given)
    wanted = pytree.tree_leaves(model(larger[0], **larger[1]))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-3, atol=1e-4)


WAYS: dict[str, Callable[[str, Path], None]] = {
    "save, load": saved,
    "meta, load": meta,
    "half precision": half,
    "compile": compiled,
    "export": exported,
    "ONNX": onnx,
}
SLOW = {"compile", "export", "ONNX"}
ALWAYS = {"Perceiver AR", "optical flow"}  # the least alike of those that compile quickly: in every run


def cells() -> list[Any]:
    return [
        pytest.param(name, way, marks=pytest.mark.slow if way in SLOW and name not in ALWAYS else ())
        for name in MEMBERS
        for way in WAYS
    ]


@pytest.mark.parametrize(("name", "way"), cells())
def test_every_member_every_way(name: str, way: str, tmp_path: Path) -> None:
    WAYS[way](name, tmp_path / "folder")


def test_the_table_in_the_docs_is_this_one() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| ") and line.count("yes") == len(WAYS)]
    assert rows == [f"| {name} | {' | '.join(['yes'] * len(WAYS))} |" for name in MEMBERS]
    assert f"| member | {' | '.join(WAYS)} |" in DOCS.read_text()


def batches(inputs: Any, keywords: Any) -> Any:
    """Dynamic shapes: the first axis of everything is the batch."""
    batch = torch.export.Dim("batch", min=2, max=64)

    def shape(value: Any) -> Any:
        return pytree.tree_map(lambda x: {0: batch}, value)

    return (shape(inputs), *[shape(keywords[key]) for key in keywords])


def lower(nest: Any, dtype: torch.dtype) -> Any:
    return pytree.tree_map(lambda x: x.to(dtype) if x.is_floating_point() else x, nest)


def same(again: Any, model: Any, inputs: Any, keywords: dict[str, Any]) -> None:
    # Not to the last bit: a product's order of summing depends on where in memory its factors lie.
    with torch.no_grad():
        torch.testing.assert_close(again(inputs, **keywords), model(inputs, **keywords), rtol=1e-5, atol=1e-6)


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
