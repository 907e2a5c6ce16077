"""The most bytes that live tensors take while something runs: counted tensor by tensor, on any device, "meta" included.

On the meta device nothing is computed and nothing allocated, so networks of any size and pictures of any size can be
measured on a small machine. Scratch space inside a kernel is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Bytes held by the storages that were made since this began."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._held: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        known = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf, known)
        return result

    def lap(self) -> int:
        """The peak since the last lap, which becomes what is live now."""
        peak, self.peak = self.peak, self.now
        return peak

    def _count(self, tensor: Tensor, known: set[int]) -> None:
        key, size = tensor.untyped_storage()._cdata, tensor.untyped_storage().nbytes()
        if key not in self._held:
            if key in known:  # a view of, or a write to, something from before
                return
            self._held[key] = 0
            self.now += size
            self.peak = max(self.peak, self.now)
        self._held[key] += 1
        weakref.finalize(tensor, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._held[key] -= 1
        if self._held[key] == 0:
            del self._held[key]
            self.now -= size


class _Fused(TorchFunctionMode):
    """Attention as fused kernels hold it: queries, keys, values and the result, never the matrix of weights."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def peak_bytes(run: Callable[[], object]) -> int:
    """Of one call, its result included; what the networks themselves hold is not counted."""
    with _Fused(), Live() as live:
        result = run()
        del result
    return live.peak


__all__ = ["Live", "peak_bytes"]
