"""Known damage as linear operators A, taken apart once so that everything about them is exact.

    A = U diag(s) V^T,      A^+ = V diag(1/s) U^T,      1/s = 0 where s = 0

V^T x is here the picture's `coordinates`, on a grid of x's own size; s tells how strongly each of them was measured.
Kawar et al. 2022 (DDRM), section 3.2. Values of s below CUTOFF of the largest are taken for 0: what the damage left of
them drowns in the rounding of any file. A x = y then has exact solutions, and A A^+ A = A holds to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.images import resize

CUTOFF = 0.02
LONGEST = 2048  # pixels of a side that is taken apart: the time grows with its cube

Line = Callable[[Tensor], Tensor]  # (1, 1, n, m) -> (1, 1, n', m), along the rows only


class Operator(ABC):
    """A linear damage of pictures (1, C, H, W), each colour alike."""

    strengths: Tensor  # s, (1, 1, H, W) in the coordinates' places, float64

    @abstractmethod
    def coordinates(self, x: Tensor) -> Tensor:
        """V^T x, (1, C, H, W)."""

    @abstractmethod
    def picture(self, coordinates: Tensor) -> Tensor:
        """V coordinates, (1, C, H, W)."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def measured(self, y: Tensor) -> Tensor:
        """s^-1 U^T y: what y tells of each coordinate, 0 where it tells nothing."""

    @abstractmethod
    def transpose(self, y: Tensor) -> Tensor:
        """A^T y."""

    def inverse(self, y: Tensor) -> Tensor:
        """A^+ y: the smallest picture that explains y best."""
        return self.picture(self.measured(y))

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """x + A^+ (y - A x): the picture nearest to x that explains y.   Wang et al. 2023 (DDNM), eq. 8."""
        return x + self.inverse(y - self.forward(x)).to(x)


class Mask(Operator):
    """A x = m x: pixels are known where m (1, 1, H, W) is 1 and lost where it is 0."""

    def __init__(self, mask: Tensor):
        if not bool(mask.any()):
            raise SettingsError("Everything is to be filled, so there is no picture to go by. Leave some of it.")
        self.strengths = mask.double()

    def coordinates(self, x: Tensor) -> Tensor:
        """The pixels themselves."""
        return x

    def picture(self, coordinates: Tensor) -> Tensor:
        """The pixels themselves."""
        return coordinates

    def forward(self, x: Tensor) -> Tensor:
        """m x."""
        return x * self.strengths.to(x)

    measured = transpose = forward


class Separable(Operator):
    """A x = R x C^T: one matrix along the rows, one along the columns, as blur and change of size are."""

    def __init__(self, size: tuple[int, int], line: Line, device: torch.device | str = "cpu"):
        if max(size) > LONGEST:
            raise SettingsError(
                f"The result would be {size[1]} × {size[0]} pixels, and a known damage is taken apart up to "
                f"{LONGEST} a side. Choose a smaller photo."
            )
        self.size = size
        parts = {length: _parts(length, line, device) for length in set(size)}
        self._rows, self._columns = parts[size[0]], parts[size[1]]
        strengths = _padded(self._rows[1], size[0])[:, None] * _padded(self._columns[1], size[1])
        self.strengths = torch.where(strengths < CUTOFF * strengths.max(), 0.0, strengths)[None, None]

    @cached_property
    def _inverse_strengths(self) -> Tensor:
        return torch.where(self.strengths > 0, 1 / self.strengths.clamp(min=1e-12), 0.0)

    def coordinates(self, x: Tensor) -> Tensor:
        """Vr^T x Vc."""
        return self._rows[2] @ x.double() @ self._columns[2].T

    def picture(self, coordinates: Tensor) -> Tensor:
        """Vr coordinates Vc^T."""
        return self._rows[2].T @ coordinates @ self._columns[2]

    def forward(self, x: Tensor) -> Tensor:
        """U diag(s) V^T x."""
        return self._spread(self.strengths * self.coordinates(x)).to(x)

    def measured(self, y: Tensor) -> Tensor:
        """s^-1 U^T y."""
        return self._inverse_strengths * self._gathered(y)

    def transpose(self, y: Tensor) -> Tensor:
        """V diag(s) U^T y."""
        return self.picture(self.strengths * self._gathered(y)).to(y)

    def _spread(self, coordinates: Tensor) -> Tensor:
        """U coordinates: those that A has."""
        h, w = (part[0].shape[1] for part in (self._rows, self._columns))
        return self._rows[0] @ coordinates[..., :h, :w] @ self._columns[0].T

    def _gathered(self, y: Tensor) -> Tensor:
        """U^T y, zeros where A has no coordinate."""
        found = self._rows[0].T @ y.double() @ self._columns[0]
        full = found.new_zeros(*found.shape[:-2], *self.size)
        full[..., : found.shape[-2], : found.shape[-1]] = found
        return full


def _parts(length: int, line: Line, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor]:
    """U, s, V^T of what `line` does to `length` pixels; V^T whole, so that it turns and loses nothing."""
    matrix = line(torch.eye(length, dtype=torch.float64)[None, None])[0, 0]
    u, s, vt = torch.linalg.svd(matrix, full_matrices=True)
    return u[:, : len(s)].to(device), s.to(device), vt.to(device)


def _padded(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values))])


def shrinking(size: tuple[int, int], factor: int, device: torch.device | str = "cpu") -> Separable:
    """Antialiased bicubic to 1/factor, as test sets are made; size (H, W) is the result's."""
    line = lambda eye: resize(eye, (eye.shape[-2] // factor, eye.shape[-1]))  # noqa: E731
    return Separable(size, line, device)


def blurring(size: tuple[int, int], sigma: float, device: torch.device | str = "cpu") -> Separable:
    """A Gaussian of deviation sigma in pixels, mirrored at the edges."""
    return Separable(size, lambda eye: _blurred(eye, sigma), device)


def _blurred(eye: Tensor, sigma: float) -> Tensor:
    """Each row of the result a mean of the rows of eye: weights exp(-d^2/(2 sigma^2)) up to 4 sigma, sum 1."""
    length = eye.shape[-2]
    reach = min(length - 1, max(1, round(4 * sigma)))
    weights = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float64) ** 2 / (2 * max(sigma, 1e-3) ** 2))
    weights = weights / weights.sum()
    places = torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)
    mirrored = places.abs()
    mirrored = torch.where(mirrored > length - 1, 2 * (length - 1) - mirrored, mirrored)
    matrix = torch.zeros(length, length, dtype=torch.float64)
    matrix.scatter_add_(1, mirrored, weights.expand(length, -1))
    return matrix @ eye


__all__ = ["CUTOFF", "Mask", "Operator", "Separable", "blurring", "shrinking"]
