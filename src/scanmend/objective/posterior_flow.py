r"""The posterior mean, the error to expect of it, and the flow from it, in one network.

At t = 0 the network is shown the measurement :math:`y` twice and adds what brings it to the mean;
at t in (0, 1] it is shown a point of the path of `scanmend.generate.flow` and that mean.

References:
    Ohayon et al., arXiv:2410.00418 (posterior mean, then flow)
    Seitzer et al., arXiv:2203.09168 (why the mean must not be trained through its variance)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..generate.flow import FIRST_TIME, between


def mean_loss(
    net: nn.Module,
    known: Tensor,
    mask: Tensor,
    target: Tensor,
    told: Tensor | None = None,
    *,
    free: bool = True,
    alike: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The losses (batch,) of the posterior mean and of its expected error.

    Args:
        net: As `nets.swift.Swift`.
        known: What was measured, gaps filled in; shape (batch, 1, rows, columns). Or, with a
            second plane, what the network adds to, and what it is shown of it besides.
        mask: 1 where it was measured, else 0; shape (batch, 1, rows, columns).
        target: The true image; shape as `mask`.
        told: What else the network is told, if anything; shape (batch, numbers).
        free: Whether images have no origin, as heights: then an offset of most of the image is
            nobody's error.
        alike: Whether images count alike, however much is known of them: the errors of each are
            taken in parts of the one that the network expects of it, which does not bias the mean,
            as parts of the real one would.

    Returns:
        The losses; the mean, detached; and what errors were taken in parts of, (batch,) or 1.
    """
    known, seen = known[:, :1], known[:, -1:]
    added, log_error = _call(net, known, seen, mask, known.new_zeros(len(known)), told)
    wanted = target - known
    if free:
        wanted = wanted - _offset(wanted)
    error = added - wanted
    scale = _expected(log_error) if alike else log_error.new_ones(())
    losses = (
        2 * _huber(added, wanted, free) / scale**2
        + 0.7 * _gradient(error) / scale
        + 0.3 * laplace(error.detach(), log_error)
    )
    return losses, (known + added).detach(), scale


def flow_loss(
    net: nn.Module,
    mean: Tensor,
    mask: Tensor,
    target: Tensor,
    noise: Tensor,
    t: Tensor,
    told: Tensor | None = None,
    *,
    free: bool = True,
) -> Tensor:
    """The losses (batch,) of the flow from `mean` + `noise` to `target`, at times `t` (batch,)."""
    if free:  # the flow must not be asked to guess the origin
        target = target - _offset(target - mean)
    path = between(mean + noise, target, t[:, None, None, None])
    added, _ = _call(net, path, mean, mask, t.clamp(min=FIRST_TIME), told)
    return _huber(mean + added, target, free)


def laplace(error: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log likelihood (batch,) of `error` under a Laplace law of scale exp(`log_scale`)."""
    log_scale = log_scale.clamp(-8, 8)
    return (error.abs() * torch.exp(-log_scale) + log_scale).flatten(1).mean(1)


def _call(
    net: nn.Module, path: Tensor, known: Tensor, mask: Tensor, t: Tensor, told: Tensor | None
) -> tuple[Tensor, Tensor]:
    out = net(torch.cat([path, known, mask], dim=1), t, told).float()
    return out[:, :1], out[:, 1:]


def _offset(image: Tensor) -> Tensor:
    """That of most of an image, shape (batch, 1, 1, 1)."""
    return image.flatten(1).median(dim=1).values[:, None, None, None]


def _gradient(error: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring errors: edges count, not only levels."""
    down, across = (error.diff(dim=axis).abs().flatten(1).mean(1) for axis in (2, 3))
    return down + across


def _expected(log_scale: Tensor) -> Tensor:
    """Root mean square (batch,) of the error that is expected of an image, over a usual one."""
    variance = 2 * torch.exp(2 * log_scale.detach().clamp(-8, 8)).flatten(1).mean(1)
    return ((variance + 0.02) / 0.1).sqrt()


def _huber(image: Tensor, wanted: Tensor, free: bool) -> Tensor:
    # Linear beyond delta, where it seeks the median. Tips crash, and heights may have it; of few
    # electrons the median is less than the mean, and counts would be lost.
    delta = 0.5 if free else 4.0
    return F.huber_loss(image, wanted, reduction="none", delta=delta).flatten(1).mean(1)
