"""The way of a sampling run, as the eye would walk it: how much the guess changes from first to last.

StyleGAN's perceptual path length (Karras et al. 2019, section 4.1) asks how much a picture changes along a line in
latent space. The same question of the reverse process: x0_hat(t) goes from a soft first guess to the result, and

    length = sum_i LPIPS(x0_hat(t_i), x0_hat(t_i+1)),      detour = length / LPIPS(first, last) >= about 1

A short straight way only adds what was missing; a long one draws, discards and draws again.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.metrics.perceptual import lpips

Distance = Callable[[Tensor, Tensor], Tensor]


class PathLength:
    """Fed with the guesses of one run in order, RGB in [0, 1], (1, 3, H, W); keeps the first and the last only."""

    def __init__(self, distance: Distance = lpips):
        self._distance = distance
        self._first: Tensor | None = None
        self._last: Tensor | None = None
        self.length = 0.0

    def add(self, guess: Tensor) -> None:
        """Walk on to this guess."""
        if self._last is None:
            self._first = guess
        else:
            self.length += self._distance(guess, self._last).item()
        self._last = guess

    @property
    def detour(self) -> float:
        """How many times longer than the straight way from the first guess to the last; 1 where nothing moved."""
        if self._first is None or self._last is None:
            raise SettingsError(
                "No guess has been added, so there is no way to measure. Add the run's guesses first."
            )
        straight = self._distance(self._last, self._first).item()
        return self.length / straight if straight > 0 else 1.0
