"""A gradient step, taken by one learner or by several as if they were one.

Where torch.distributed is initialized, each learner holds some of a batch's columns (environments). Sums over the batch
are summed over the learners, and the minibatches are those of the whole batch, of which each learner takes the part it
holds. So any number of learners makes the same update of the same batch, and options mean the same for any number.

The gradients are summed as one flat tensor, in one call, instead of by torch's DistributedDataParallel. That wraps a
module's ``forward``, of which a policy has several; takes every learner's part for equally large, which those of
minibatches drawn from the whole batch are not; and hides communication behind a backward pass that here takes
milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, distributed, nn

from agents.errors import UserError
from perceiver_policy.core.cost import on_host

PART = 512
"""Steps of a minibatch that a processor learns from at once, where they differ in length."""


def several() -> bool:
    """Whether there are other learners."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def total(x: Tensor) -> Tensor:
    """The sum over all learners' ``x``, equally shaped."""
    if several():
        x = x.clone()
        distributed.all_reduce(x)
    return x


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number, mean and variance (of the population) of all learners' ``x``, which may differ in number; in float64."""
    x = x.double()
    count, mean = total(torch.stack((x.new_tensor(x.numel()), x.sum()))).unbind()
    mean = mean / count
    return count, mean, total((x - mean).square().sum()) / count


def broadcast(policy: nn.Module) -> None:
    """Make every learner's parameters and buffers those of the first."""
    if several():
        for tensor in policy.state_dict().values():
            distributed.broadcast(tensor, 0)


def place(batch: int) -> tuple[int, int]:
    """This learner's first column among all learners' columns, and how many those are; ``batch`` are its own."""
    if not several():
        return 0, batch
    sizes = torch.zeros(distributed.get_world_size(), dtype=torch.int64)
    if distributed.get_backend() == "nccl":
        sizes = sizes.cuda()
    sizes[distributed.get_rank()] = batch
    sizes = total(sizes)
    return int(sizes[: distributed.get_rank()].sum()), int(sizes.sum())


def minibatches(
    shape: tuple[int, ...], size: int, generator: torch.Generator, *, whole: bool
) -> Iterator[tuple[Tensor, int]]:
    """Shuffled minibatches of about ``size`` steps, of [T, B] = ``shape`` here, and others at other learners.

    Yields what this learner holds of each, and the number of steps that all learners hold of it. ``whole`` keeps
    columns together and yields their numbers; otherwise numbers of steps, t * B + column.
    """
    steps, batch = shape
    first, columns = place(batch)
    items = torch.randperm(columns if whole else columns * steps, generator=generator)
    for chosen in items.split(max(1, size // steps) if whole else size):
        column = (chosen if whole else chosen // steps) - first
        mine = (column >= 0) & (column < batch)
        if whole:
            yield column[mine], steps * len(chosen)
        else:
            yield (chosen % steps * batch + column)[mine], len(chosen)


def parts(rows: Tensor, lengths: np.ndarray | None, size: int | None = None) -> list[Tensor]:
    """A minibatch's rows in parts that have about as many tokens each: on a processor short ones are then not padded to
    the longest, and what one part computes stays in the cache. ``lengths``: of all rows; None: all are alike."""
    size = PART if size is None else size
    if lengths is None or len(rows) <= size:
        return [rows]
    return list(rows[torch.from_numpy(np.argsort(lengths[rows.numpy()], kind="stable"))].split(size))


def mean_over(count: int) -> Callable[[Tensor], Tensor]:
    """A mean over ``count`` numbers, of which all learners hold a part: this learner's part of it."""
    return lambda x: x.sum() / count


def descend(
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    terms: dict[str, Tensor] | Iterable[dict[str, Tensor]],
    max_norm: float,
    only: Collection[nn.Parameter] | None = None,
) -> dict[str, Tensor]:
    """One step down ``terms["loss/total"]``; the terms, which are parts of means, summed over the learners.

    Of a minibatch in several parts, ``terms`` are each part's, made when the one before has been differentiated.

    ``only``: the parameters that move; None: all of them.

    Where a term or the gradient is not finite there is no step. On the host UserError is raised, on every learner; on
    another device, which would have to be waited for, the optimizer is told (Adam heeds it), and :func:`means` raises.
    """
    optimizer.zero_grad(set_to_none=True)
    names: list[str] = []
    sums = []
    for part in (terms,) if isinstance(terms, dict) else terms:
        names = list(part)
        sums.append(torch.stack(list(part.values())).detach())
        part["loss/total"].backward()
    values = total(torch.stack(sums).sum(0))
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if several():
        # a head that no step of this minibatch has used has no gradient here, but may have one elsewhere
        flat = total(torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]))
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
    if only is not None:
        learned = {id(parameter) for parameter in only}
        for parameter in parameters:
            if id(parameter) not in learned:
                parameter.grad = None
        parameters = [parameter for parameter in parameters if id(parameter) in learned]
    measured = dict(zip(names, values, strict=True))
    measured["learner/gradient_norm"] = nn.utils.clip_grad_norm_(parameters, max_norm).detach()
    if on_host(values):
        check_finite({name: float(number) for name, number in measured.items()})
    else:
        finite = torch.stack(tuple(measured.values())).isfinite().all()
        optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
    optimizer.step()
    return measured


def means(measured: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Each term's mean over what :func:`descend` measured. Raises UserError for the first that is not finite."""
    rows = torch.stack([torch.stack(tuple(terms.values())) for terms in measured]).tolist()
    for row in rows:
        check_finite(dict(zip(measured[0], row, strict=True)))
    return {name: sum(column) / len(rows) for name, column in zip(measured[0], zip(*rows, strict=True), strict=True)}


def check_finite(terms: dict[str, float]) -> None:
    """Raises UserError naming the first term that is infinite or no number."""
    for name, term in terms.items():
        if not abs(term) < float("inf"):
            raise UserError(
                f"{name} is {term}: training cannot go on, and stops before a step that would spoil the policy. The "
                "rewards and observations were finite, so it is the learning that grew without bound: start a new run "
                "with a lower learning_rate or max_gradient_norm, or with rewards of a smaller scale."
            )
