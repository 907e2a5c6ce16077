"""Group norms of a whole picture for a network that sees it in windows.

A group norm divides by a deviation taken over all pixels, so windows that are normed by themselves differ from each
other in tone and contrast. Here a first pass over the windows measures every norm's mean and variance, and a second
runs them all with what they have together:

    mean = sum n_i m_i / n,      var = sum n_i (v_i + (m_i - mean)^2) / n

with n_i values, mean m_i and variance v_i in the i-th window. Memory stays that of one window. The first pass meets
norms behind others that were still each window's own: what is left of that error is small beside the windows' edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Moments:
    """Of the values that a norm saw: how many in each group, their mean and variance (N, groups), float64."""

    count: int
    mean: Tensor
    var: Tensor

    def joined(self, other: Moments) -> Moments:
        """Of both sets of values together."""
        count = self.count + other.count
        share = other.count / count
        apart = other.mean - self.mean
        mean = self.mean + share * apart
        var = (1 - share) * self.var + share * other.var + share * (1 - share) * apart**2
        return Moments(count, mean, var)


class SharedNorms:
    """The norms of one picture: `with norms.measure():` around each window, then `with norms.apply():` around each.

    All windows have to run the same norms in the same order.
    """

    def __init__(self) -> None:
        self._found: list[Moments] = []

    def measure(self) -> TorchFunctionMode:
        """Norms act as they are, and what they see is added to what is known."""
        return _Intercepting(self._measured())

    def apply(self) -> TorchFunctionMode:
        """Norms act with the mean and variance of all that was measured."""
        return _Intercepting(self._applied())

    def _measured(self) -> Callable[..., Tensor]:
        indices = iter(range(1 << 20))

        def norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
            seen, i = _moments(x, groups), next(indices)
            if i == len(self._found):
                self._found.append(seen)
            else:
                self._found[i] = self._found[i].joined(seen)
            return F.group_norm(x, groups, weight, bias, eps)

        return norm

    def _applied(self) -> Callable[..., Tensor]:
        known: Iterable[Moments] = iter(self._found)

        def norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
            found = next(known)
            channels = x.shape[1] // groups
            scale = weight * (found.var + eps).rsqrt().float().repeat_interleave(channels, dim=1)
            shift = bias - found.mean.float().repeat_interleave(channels, dim=1) * scale
            shape = (*scale.shape, *[1] * (x.ndim - 2))
            return torch.addcmul(shift.reshape(shape), x.float(), scale.reshape(shape))

        return norm


def _moments(x: Tensor, groups: int) -> Moments:
    values = x.float().reshape(x.shape[0], groups, -1)
    var, mean = torch.var_mean(values, dim=2, correction=0)
    return Moments(values.shape[2], mean.double(), var.double())


class _Intercepting(TorchFunctionMode):
    """`norm` in the place of torch's group norm, in this thread."""

    def __init__(self, norm: Callable[..., Tensor]):
        super().__init__()
        self.norm = norm

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.group_norm:
            return func(*args, **kwargs)
        given = dict(zip(("input", "num_groups", "weight", "bias", "eps"), args, strict=False)) | kwargs
        return self.norm(given["input"], given["num_groups"], given["weight"], given["bias"], given["eps"])
