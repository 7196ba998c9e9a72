"""What is minimised."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import RecipeError
from ..generate import Diffusion, FlowMatching, Method, PosteriorFlow, Regression
from ..generate.flow import FIRST_TIME, between
from .fourier import spectra_apart


def losses(
    method: Method, net: nn.Module, clean: Tensor, degraded: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """What `net` still has to learn of `method`, one loss for each sample, shape (batch,).

    Args:
        method: One of `scanmend.generate.METHODS`.
        net: Takes `net.channels` planes, which are the image on its way and the degraded one, or
            that alone, and times (batch,) in [0, 1]; returns one plane.
        clean: Shape (batch, 1, rows, columns), in [-1, 1].
        degraded: As `clean`.
        noise: Standard normal; as `clean`.
        u: Uniform in [0, 1), decides the time; shape (batch,).

    Raises:
        RecipeError: The method needs an image on its way, for which the network has no place.
    """
    # Where several processes share a batch, torch wraps the network.
    channels = getattr(net, "module", net).channels
    if channels == 1 and not isinstance(method, Regression):
        raise RecipeError(
            f"{type(method).__name__} needs a network of 2 channels, and this one has 1: "
            "choose another, or Regression"
        )

    def call(image: Tensor, known: Tensor, t: Tensor) -> Tensor:
        planes = torch.cat([image, known], dim=1) if channels == 2 else known
        return net(planes, t).float()

    return _LOSSES[type(method)](method, call, clean, degraded, noise, u)


_Call = Callable[[Tensor, Tensor, Tensor], Tensor]


def _flow_matching(
    method: FlowMatching, call: _Call, clean: Tensor, degraded: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Square error of the velocity; Kolev, Rodani et al., Eqs. 6 and 7."""
    start = method.start(degraded, noise)
    path = between(start, clean, u[:, None, None, None])
    return _square(call(path, degraded, u) - (clean - start))


def _diffusion(
    method: Diffusion, call: _Call, clean: Tensor, degraded: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Square error of the noise, and how far spectra are apart; Kolev, Rodani et al., Eqs. 2-4.

    What was the image in the mixture with the noise is compared as it is in it, small where there
    is much noise: enlarged to the whole image, the error of the noise would be enlarged with it.
    """
    k = (u * method.times).long() + 1
    kept = torch.from_numpy(method.kept).to(u.device)[k][:, None, None, None]
    of_image, of_noise = kept.sqrt().to(clean), (1 - kept).sqrt().to(clean)
    mixture = of_image * clean + of_noise * noise
    found = call(mixture, degraded, k / method.times)
    loss = _square(found - noise)
    if method.fourier == 0:
        return loss
    amplitudes, phases = spectra_apart(of_image * clean, mixture - of_noise * found)
    return (1 - method.fourier) * loss + method.fourier / 2 * (amplitudes + phases)


def _regression(
    method: Regression, call: _Call, clean: Tensor, degraded: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Absolute, or square, error of the image."""
    answer = call(degraded, degraded, torch.zeros_like(u))
    error = answer + degraded - clean if method.residual else answer - clean
    return error.abs().flatten(1).mean(1) if method.loss == "l1" else _square(error)


def _posterior_flow(
    method: PosteriorFlow, call: _Call, clean: Tensor, degraded: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Half the square error of the mean, and half that of the flow's prediction from it."""
    mean = degraded + call(degraded, degraded, torch.zeros_like(u))
    # The mean must not become what the flow would like it to be.
    known = mean.detach()
    path = between(known + method.noise * noise, clean, u[:, None, None, None])
    end = known + call(path, known, u.clamp(min=FIRST_TIME))
    return (_square(mean - clean) + _square(end - clean)) / 2


_LOSSES: dict[type, Callable[..., Tensor]] = {
    FlowMatching: _flow_matching,
    Diffusion: _diffusion,
    Regression: _regression,
    PosteriorFlow: _posterior_flow,
}


def _square(error: Tensor) -> Tensor:
    return error.square().flatten(1).mean(1)
