"""The Perceiver and Perceiver IO: short compositions of inputs, encoder, queries and decoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import OutputLinear, hide, output_linear
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.recorded import recorded
from perceiver_policy.family.modalities import ByteTokens
from perceiver_policy.family.queries import ModalityQueries, Points, PositionQueries


@recorded
class Perceiver(nn.Module):
    """The first Perceiver (arXiv 2103.03206): tokens are read into latents several times; their mean is classified.

    `inputs` is a module of `modalities` (None: the caller gives tokens); `classes` None returns the mean latent.
    """

    def __init__(self, encoder: Encoder, *, inputs: nn.Module | None = None, classes: int | None = None) -> None:
        super().__init__()
        self.inputs, self.encoder = inputs, encoder
        self.classifier = OutputLinear(encoder.latent_width, classes) if classes else None

    def forward(self, inputs: Any, attention_mask: Any = None) -> Tensor:
        """Logits `[B, classes]`, in float32. `attention_mask` `[B, M]`, True or nonzero = valid."""
        tokens, mask = read(self.inputs, inputs, attention_mask)
        mean = self.encoder(tokens, mask=mask).mean(1)
        return mean if self.classifier is None else cast(Tensor, self.classifier(mean))


@recorded
class Task(nn.Module):
    """One thing asked of the latents: queries, a decoder, and what turns its answers `[B, Q, width]` into the output.

    `queries` None means that the caller gives them in every call.
    """

    def __init__(self, decoder: Decoder, queries: nn.Module | None = None, outputs: nn.Module | None = None) -> None:
        super().__init__()
        self.queries, self.decoder, self.outputs = queries, decoder, outputs

    def forward(
        self,
        latents: Tensor,
        tokens: Tensor | None = None,
        *,
        queries: Tensor | None = None,
        query_mask: Tensor | None = None,
        points: Points = None,
        chunk: int | None = None,
    ) -> Any:
        """`queries` `[B, Q, E]` in place of the task's own; `points`: some of its own; `chunk`: how many are decoded at
        a time."""
        if queries is None:
            if self.queries is None:
                raise ValueError("this task has no queries of its own: give queries [batch, queries, width]")
            queries = cast(Tensor, self.queries(tokens, points))
        answers = self.decoder(queries, latents, query_mask=query_mask, chunk=chunk)
        return self.finish(answers, points)

    def finish(self, answers: Tensor, points: Points) -> Any:
        """Answers -> output. Some of the `points` of a grid are no grid: they stay `[B, Q, C]`, scaled."""
        if self.outputs is None:
            return answers
        if points is not None and isinstance(self.outputs, Grid):
            return answers * self.outputs.scale
        return self.outputs(answers)


@recorded
class ModalityTask(Task):
    """A task whose queries are of several modalities: answers are split by modality, each with an output layer of its
    own.

    Returns a dict by name of `[B, Q of the modality, channels]`.
    """

    def __init__(self, decoder: Decoder, queries: ModalityQueries, outputs: Mapping[str, nn.Module]) -> None:
        super().__init__(decoder, queries, nn.ModuleDict(outputs))

    def finish(self, answers: Tensor, points: Points) -> dict[str, Tensor]:
        """Answers -> outputs by modality."""
        counts = cast(ModalityQueries, self.queries).counts(cast("Mapping[str, Tensor | None] | None", points))
        parts = answers.split(list(counts.values()), 1)
        outputs = cast(nn.ModuleDict, self.outputs)
        return {name: outputs[name](part) for name, part in zip(counts, parts, strict=True)}


@recorded
class PerceiverIO(nn.Module):
    """Perceiver IO (arXiv 2107.14795): inputs -> latents -> answers to queries.

    `inputs` is a module of `modalities` (None: the caller gives tokens `[B, M, C]`). `task` None returns the latents.
    """

    def __init__(self, encoder: Encoder, task: Task | None = None, *, inputs: nn.Module | None = None) -> None:
        super().__init__()
        self.inputs, self.encoder, self.task = inputs, encoder, task

    def forward(
        self,
        inputs: Any,
        attention_mask: Any = None,
        *,
        queries: Tensor | None = None,
        query_mask: Tensor | None = None,
        subsampled_output_points: Points = None,
        chunk: int | None = None,
        latents: Tensor | None = None,
    ) -> Any:
        """The task's output; without a task, latents `[B, N, D]`.

        `attention_mask` `[B, M]` (or by modality): True or nonzero = valid. `subsampled_output_points` decodes only
        some of the task's queries, by flat index (by modality for a `ModalityTask`). The others: see `Task` and
        `Encoder`.
        """
        tokens, mask = read(self.inputs, inputs, attention_mask)
        z = self.encoder(tokens, mask=mask, latents=latents)
        if self.task is None:
            return z
        return self.task(
            z, tokens, queries=queries, query_mask=query_mask, points=subsampled_output_points, chunk=chunk
        )


@recorded
class MaskedLanguageModel(PerceiverIO):
    """Perceiver IO on bytes with the published tied output: logits are the answers' products with the input embeddings,
    plus a bias."""

    inputs: ByteTokens

    def __init__(self, encoder: Encoder, decoder: Decoder, inputs: ByteTokens, queries: PositionQueries) -> None:
        super().__init__(encoder, Task(decoder, queries), inputs=inputs)
        self.bias = nn.Parameter(torch.zeros(inputs.embedding.num_embeddings))

    def forward(self, inputs: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Tensor:
        """Ids `[B, L]` -> logits `[B, Q, vocabulary]` in float32, one row a query (of which there are `L` or, as
        published, the greatest length)."""
        answers = super().forward(inputs, attention_mask, **options)
        return output_linear(answers, self.inputs.embedding.weight, self.bias)


@recorded
class MultiTask(nn.Module):
    """One encoder, several named tasks asked of the same latents, trained together."""

    def __init__(self, encoder: Encoder, tasks: Mapping[str, Task], *, inputs: nn.Module | None = None) -> None:
        super().__init__()
        self.inputs, self.encoder, self.tasks = inputs, encoder, nn.ModuleDict(tasks)

    def forward(
        self,
        inputs: Any,
        attention_mask: Any = None,
        *,
        tasks: Iterable[str] | None = None,
        queries: Mapping[str, Tensor] | None = None,
        query_masks: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Outputs by task, of all or of the named `tasks`. `queries` and `query_masks` by task."""
        tokens, mask = read(self.inputs, inputs, attention_mask)
        latents = self.encoder(tokens, mask=mask)
        outputs = {}
        for name in self.tasks if tasks is None else tasks:
            if name not in self.tasks:
                raise ValueError(f"no task {name!r}: expected some of {', '.join(self.tasks)}")
            asked, valid = (queries or {}).get(name), (query_masks or {}).get(name)
            outputs[name] = self.tasks[name](latents, tokens, queries=asked, query_mask=valid)
        return outputs


@recorded
class OneAnswer(nn.Module):
    """The answer of a single query, without its axis: `[B, 1, width]` -> `[B, width]`; `project_to` adds a linear
    layer."""

    def __init__(self, width: int | None = None, project_to: int | None = None) -> None:
        super().__init__()
        self.projection = OutputLinear(width, project_to) if width and project_to else None

    def forward(self, answers: Tensor) -> Tensor:
        """See the class."""
        first = answers[:, 0]
        return first if self.projection is None else cast(Tensor, self.projection(first))


@recorded
class AudioAnswers(nn.Module):
    """Answers of audio patches as samples: `[B, Q, width]` -> `[B, Q * samples]`."""

    def __init__(self, width: int, samples: int) -> None:
        super().__init__()
        self.projection = OutputLinear(width, samples)

    def forward(self, answers: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.projection(answers)).flatten(1)


@recorded
class Grid(nn.Module):
    """Answers of a pixel grid as an image, channels last, times `scale`: `[B, H*W, C]` -> `[B, H, W, C]`."""

    def __init__(self, shape: tuple[int, ...], scale: float = 1.0) -> None:
        super().__init__()
        self.shape, self.scale = shape, scale

    def forward(self, answers: Tensor) -> Tensor:
        """See the class. Raises ValueError for another number of answers than the grid has cells."""
        if answers.shape[1] != math.prod(self.shape):
            raise ValueError(
                f"{answers.shape[1]} answers do not fill the grid of {' x '.join(map(str, self.shape))} that the model "
                "was built for: give inputs of that size, or build it with another shape (optical flow of images of "
                "any size is put together of tiles by perceiver_policy.family.processing.flow)"
            )
        return answers.unflatten(1, self.shape) * self.scale


def read(module: nn.Module | None, inputs: Any, attention_mask: Any) -> tuple[Tensor, Tensor | None]:
    """Tokens and boolean mask, by the module of inputs or, without one, of tokens given as they are. What is masked is
    zeros. The mask may be of numbers, floats too, as tokenizers give it: nonzero = valid."""
    if isinstance(attention_mask, Mapping):
        attention_mask = {name: mask.bool() for name, mask in attention_mask.items()}
    elif attention_mask is not None:
        attention_mask = attention_mask.bool()
    tokens, mask = (inputs, attention_mask) if module is None else module(inputs, attention_mask)
    return hide(tokens, mask), mask
