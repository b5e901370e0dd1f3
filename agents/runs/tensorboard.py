"""The logger that every run has unless it says otherwise."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt

from agents.config import Config
from agents.runs import experiment
from agents.runs.callbacks import Logger

JUDGED = ("episode/return", "evaluation/return")
"""What options are shown beside."""
FRAMES_A_SECOND = 10
MOST_FRAMES = 200
"""Of a video: TensorBoard shows GIFs, which are large."""


class TensorBoard(Logger):
    """Curves in the run's folder ``tensorboard``, its options as hyper-parameters, texts and videos."""

    def start(self, run_dir: Path, config: Config, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self.writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1 if step else None)
        # add_hparams would make a folder of its own, and a run of it
        for summary in hparams(experiment.settings(config), dict.fromkeys(JUDGED, 0.0)):
            self.writer._get_file_writer().add_summary(summary)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def histogram(self, step: int, name: str, values: npt.NDArray[Any]) -> None:
        self.writer.add_histogram(name, values, step)

    def text(self, step: int, name: str, text: str) -> None:
        # as it is: TensorBoard takes what is indented for code
        self.writer.add_text(name, "".join(f"    {line}\n" for line in text.splitlines()), step)

    def video(self, step: int, name: str, path: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        content, height, width = _as_gif(path)
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
        summary = Summary(value=[Summary.Value(tag=name, image=image)])
        self.writer._get_file_writer().add_summary(summary, step)

    def close(self) -> None:
        self.writer.close()


def _as_gif(path: Path) -> tuple[bytes, int, int]:
    """The first frames of a video as a GIF, and their height and width."""
    import imageio.v3
    from PIL import Image

    frames = [Image.fromarray(frame).quantize(128) for frame in islice(imageio.v3.imiter(path), MOST_FRAMES)]
    out = io.BytesIO()
    frames[0].save(
        out, "GIF", save_all=True, append_images=frames[1:], duration=1000 // FRAMES_A_SECOND, loop=0, optimize=False
    )
    return out.getvalue(), frames[0].height, frames[0].width
