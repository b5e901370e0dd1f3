"""What a trained example looks at, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from perceiver_policy.core.attention import attention_maps


def traced(model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
    """How much each output query of a Perceiver IO rests on each input, `[B, Q, M]`: attention rollout (arXiv
    2005.00928) through the cross-attends and the latents' layers, which are taken to add as much as they keep, and the
    decoder; the mean over heads."""
    found: Tensor | None = None
    for name, weights in attention_maps(model, *args, **kwargs).items():
        mean = weights.mean(1)
        if found is None:
            found = mean
        elif "encoder.cross." in name:
            found = 0.5 * found + 0.5 * mean
        else:
            passed = mean @ found
            found = passed if "decoder" in name else 0.5 * found + 0.5 * passed
    if found is None:
        raise ValueError("the model has no attention")
    return found


def heatmaps(path: str | Path, panels: Mapping[str, Tensor], *, columns: int = 6, color: str = "magma") -> None:
    """Two-dimensional tensors, each in a panel of its own scale, under their names; a name that starts with "=" is
    drawn in gray without it (what was shown to the model)."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(1.9 * min(columns, len(panels)), 2.1 * rows), dpi=110, layout="constrained")
    for i, (name, panel) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, min(columns, len(panels)), i + 1)
        axes.imshow(panel.float().numpy(), cmap="gray" if name.startswith("=") else color, aspect="auto")
        axes.set_title(name.lstrip("="), fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    save(figure, path)


def save(figure: Any, path: str | Path) -> None:
    """Writes a figure and says where."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"attention: {path}")
