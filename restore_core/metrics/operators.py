"""The damage as an operator A without noise, so that a result can be damaged again and held against the photograph.

Known where the result is larger than the photograph (antialiased bicubic, as test sets are made). At equal size it is
fitted: the small kernel that best turns a first guess g into y, in the least squares sense,

    k = argmin |k * g - y|^2 + ridge |k - delta|^2

which for pure noise is about delta, and for a blur the blur.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.metrics.consistency import Operator

REACH = 9  # px: kernels of 19 x 19, a motion of 17 px and a Gaussian of 3 px fit in
PLACES = 8000  # pixels that the kernel is fitted at
RIDGE = 1e-5  # of the mean square of g's patches, per place


def operator_between(guess: Tensor, y: Tensor) -> Operator:
    """A for results like `guess` (1, 3, H, W) and the photograph y (1, 3, h, w), both RGB in [0, 1]."""
    if guess.shape[-2:] != y.shape[-2:]:
        return shrinking(y)
    return blurring(fitted_kernel(guess, y))


def shrinking(y: Tensor) -> Operator:
    """Antialiased bicubic to the size of y."""
    size = tuple(y.shape[-2:])
    return lambda result: resize(result, size)


def blurring(kernel: Tensor) -> Operator:
    """Correlation with a kernel (k, k), edges repeated, size kept."""
    reach = kernel.shape[-1] // 2

    def run(image: Tensor) -> Tensor:
        weight = kernel.to(image).expand(image.shape[1], 1, -1, -1)
        return F.conv2d(F.pad(image, (reach,) * 4, mode="replicate"), weight, groups=image.shape[1])

    return run


def fitted_kernel(guess: Tensor, y: Tensor, *, reach: int = REACH) -> Tensor:
    """(2 reach + 1, 2 reach + 1), the same for the three colours; fitted at evenly spread pixels inside the border."""
    height, width = y.shape[-2:]
    if min(height, width) <= 4 * reach:
        raise SettingsError(
            f"The photo is {width} × {height} px, too small to estimate its damage, which needs {4 * reach + 1} px a "
            "side. Choose a larger photo."
        )
    size = 2 * reach + 1
    inner = (height - 2 * reach) * (width - 2 * reach)
    chosen = torch.linspace(0, inner - 1, min(PLACES, inner)).long().unique()
    rows, columns = chosen // (width - 2 * reach), chosen % (width - 2 * reach)
    windows = (
        guess[0].double().cpu().unfold(1, size, 1).unfold(2, size, 1)
    )  # (3, inner rows, inner columns, k, k)
    patches = windows[:, rows, columns].reshape(-1, size * size)
    targets = y[0].double().cpu()[:, rows + reach, columns + reach].reshape(-1)
    delta = torch.zeros(size * size, dtype=torch.float64)
    delta[size * size // 2] = 1
    ridge = RIDGE * len(patches) * patches.square().mean().clamp(min=1e-8)
    gram = patches.T @ patches + ridge * torch.eye(size * size, dtype=torch.float64)
    kernel = delta + torch.linalg.solve(gram, patches.T @ (targets - patches @ delta))
    return kernel.reshape(size, size).float()
