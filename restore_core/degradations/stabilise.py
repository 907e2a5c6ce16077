"""Making a sensor's noise even: y = K Poisson(x/K) + N(0, sigma^2) -> unit variance, or variance equal to the mean.

Denoisers for Gaussian noise then serve raw pictures at any ISO. Values are on the scale where white is 1.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from restore_core.errors import SettingsError

LARGEST = 150.0  # electrons; above, the asymptotic inverse is exact to 1e-4
TABLE = 1500
NODES = 24  # of Gauss-Hermite quadrature


def anscombe(y: Tensor, k: float, sigma: float) -> Tensor:
    """2 sqrt(y/K + 3/8 + (sigma/K)^2), 0 where the root has none: deviation close to 1 (Murtagh et al. 1995)."""
    s = _relative(k, sigma)
    return 2 * (y / k + 0.375 + s**2).clamp(min=0).sqrt()


def inverse_anscombe(d: Tensor, k: float, sigma: float) -> Tensor:
    """x with E[anscombe(y) | x] = d: the exact unbiased inverse (Makitalo and Foi 2013).

    A denoised d is a mean of roots, and the plain algebraic inverse of a mean is too dark. Up to LARGEST electrons
    from a table of the expectation, above from its expansion; below the expectation at black: 0.
    """
    s = _relative(k, sigma)
    means, expected = _table(round(s, 6))
    z = d.double().cpu().contiguous()
    right = torch.searchsorted(expected, z).clamp(1, len(means) - 1)
    low, high = expected[right - 1], expected[right]
    share = ((z - low) / (high - low)).clamp(0, 1)
    tabled = means[right - 1] + share * (means[right] - means[right - 1])
    return (k * torch.where(z > expected[-1], _expansion(z.clamp(min=1.0), s), tabled)).to(d)


def k_sigma(y: Tensor, k: float, sigma: float) -> Tensor:
    """y/K + (sigma/K)^2: the variance equals the expectation, whatever the ISO (Wang et al. 2020, eq. 6)."""
    return y / k + _relative(k, sigma) ** 2


def inverse_k_sigma(f: Tensor, k: float, sigma: float) -> Tensor:
    """K f - sigma^2/K."""
    return k * (f - _relative(k, sigma) ** 2)


def _relative(k: float, sigma: float) -> float:
    if not (k > 0 and sigma >= 0 and math.isfinite(k) and math.isfinite(sigma)):
        raise SettingsError(
            f"K = {k:g} and sigma = {sigma:g} describe no sensor: one electron must be brighter than nothing. Choose "
            f"K above 0 and sigma from 0."
        )
    return sigma / k


def _expansion(d: Tensor, s: float) -> Tensor:
    """D^2/4 + sqrt(3/2)/(4 D) - 11/(8 D^2) + 5 sqrt(3/2)/(8 D^3) - 1/8 - s^2, in electrons."""
    root = math.sqrt(1.5)
    return d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 0.125 - s**2


@lru_cache(maxsize=16)
def _table(s: float) -> tuple[Tensor, Tensor]:
    """(electrons, E[2 sqrt(n + s z + 3/8 + s^2)]) for n Poisson and z normal; even in the root of the electrons."""
    means = torch.linspace(0, math.sqrt(LARGEST), TABLE, dtype=torch.float64) ** 2
    counts = torch.arange(int(LARGEST + 12 * math.sqrt(LARGEST)) + 20, dtype=torch.float64)
    chance = torch.exp(torch.xlogy(counts, means[:, None]) - means[:, None] - torch.lgamma(counts + 1))
    z, weight = _normal_nodes()
    roots = 2 * (counts[:, None] + s * z + 0.375 + s**2).clamp(min=0).sqrt() @ weight
    return means, chance @ roots


def _normal_nodes() -> tuple[Tensor, Tensor]:
    """Gauss-Hermite nodes and weights of the standard normal law: eigenvalues of its Jacobi matrix."""
    beside = torch.arange(1, NODES, dtype=torch.float64).sqrt()
    z, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return z, vectors[0] ** 2
