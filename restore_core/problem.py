"""What a method hands to the engine: one degraded picture, posed as a process, a network and an anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor

from restore_core.bands import by_bands
from restore_core.processes import Prediction, Process

Network = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Problem:
    """All that is needed to restore one picture.

    process     x_t = a x0 + b y + s eps
    network     (x_t, t, cond) -> raw output, (N, C, H, W)
    predicts    what the raw output is: "x0", "eps" or "v"
    anchor      y in the process's space (zeros where the process has none)
    cond        what else the network sees; 4-d entries of the anchor's height and width, or whole multiples, are
                cropped along with a tile
    encode      RGB in [0, 1] -> process space;   decode: process space -> RGB in [0, 1], cropped to the true size
    preview     a cheaper decode for frames on the way; None: decode. A bands.Pointwise decode shows large pictures
                without making them
    guess       a first x0 in the process's space, for runs that start from a noised guess
    from_guess  whether a run at full strength starts there too (mean a_T guess + b_T y instead of the prior's)
    clip        limit of |x0|; eps is derived again after clipping
    guide       moves a guess: (x0, t/steps) -> x0, for instance guidance.Guidance; eps is derived again
    times       the paper's own time grid, for spacing "paper"; None: one step an index
    whole       the network knows whole times only
    multiple    tiles begin at multiples of this
    tile        side of tiles where none is asked for; None: by the picture's size and by memory
    bytes_per_pixel   what the network takes in float32 for each pixel of the process's space; 0: not known
    """

    process: Process
    network: Network
    predicts: Literal["x0", "eps", "v"]
    anchor: Tensor
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    cond: Mapping[str, Tensor] = field(default_factory=dict)
    preview: Callable[[Tensor], Tensor] | None = None
    guess: Tensor | None = None
    from_guess: bool = False
    clip: float | None = None
    guide: Callable[[Tensor, float], Tensor] | None = None
    times: Callable[[int], Tensor] | None = None
    whole: bool = False
    multiple: int = 1
    tile: int | None = None
    bytes_per_pixel: float = 0.0

    def copies(self, n: int) -> Problem:
        """The same problem for n states that walk together, as a batch; nothing is copied."""
        if n == len(self.anchor):
            return self
        cond = {key: _spread(value, n) for key, value in self.cond.items()}
        guess = None if self.guess is None else _spread(self.guess, n)
        return replace(self, anchor=_spread(self.anchor, n), cond=cond, guess=guess)

    def denoise(self, x: Tensor, t: Tensor) -> Prediction:
        """The network's guess at (x, t), clipped."""
        return self.read(x, t, self.network(x, t, self.cond))

    def read(self, x: Tensor, t: Tensor, raw: Tensor, *, spare: bool = False) -> Prediction:
        """A raw output as a Prediction: |x0| <= clip, guided, and eps derived again from what became of the guess.

        spare   whether `raw` may be written over, which saves a large picture
        """
        if self.predicts == "x0":
            x0 = raw
        else:
            convert = {"eps": self.process.from_eps, "v": self.process.from_v}
            p = convert[self.predicts](x, self.anchor, t, raw)
            if self.clip is None and self.guide is None:
                return p
            x0, spare = p.x0, True
            del p
        if self.clip is not None:
            x0 = by_bands(lambda part: part.clamp(-self.clip, self.clip), x0, onto=x0 if spare else None)
        if self.guide is not None:
            x0 = self.guide(x0, t.item() / self.process.steps)
        return self.process.from_x0(x, self.anchor, t, x0)


def _spread(value: Tensor, n: int) -> Tensor:
    """What belongs to one picture, for n; anything else (two prompts) as it is."""
    return value.expand(n, *value.shape[1:]) if len(value) == 1 else value
