"""Methods, loaded once and shared: the last few are kept, the rest make room."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import torch
from torch import nn

from restore_core import devices
from restore_core.checkpoints import catalogue, files
from restore_core.engine import finish, restore
from restore_core.errors import NotDownloaded, SettingsError
from restore_core.methods import METHODS, Card, Method
from restore_core.settings import Settings


def card(key: str) -> Card:
    """The card of the method called `key`."""
    if key not in METHODS:
        raise SettingsError(f"There is no method called '{key}'. Choose one of {', '.join(METHODS)}.")
    return METHODS[key].card


class Library:
    """Networks on one device. Safe to share between threads; a network is loaded by one and waited for by the others.

    keep   how many networks stay in memory
    """

    def __init__(self, device: str | None = None, *, keep: int = 4):
        self.device = devices.choose(device)
        self.precision = devices.choose_precision(self.device)
        self.keep = keep
        self._networks: OrderedDict[str, nn.Module] = OrderedDict()
        self._rates: dict[tuple[str, str, str], tuple[float, float]] = {}
        self._lock = threading.RLock()

    def method(self, key: str, variant: str) -> Method:
        """The method with this variant's weights, on the device."""
        chosen = card(key).variant(variant)
        modules = {role: self.network(weights) for role, weights in chosen.weights.items()}
        return METHODS[key](chosen, modules)

    def network(self, key: str) -> nn.Module:
        """The network of one catalogue record; loaded at the first call."""
        with self._lock:
            if key not in self._networks:
                module = files.load(catalogue.record(key))
                self._networks[key] = module.to(self.device, memory_format=torch.channels_last)
            self._networks.move_to_end(key)
            while len(self._networks) > self.keep:
                self._networks.popitem(last=False)
            return self._networks[key]

    def has(self, key: str, variant: str) -> bool:
        """Whether all weights of the variant are on this machine."""
        try:
            for weights in card(key).variant(variant).weights.values():
                files.locate(catalogue.record(weights))
        except NotDownloaded:
            return False
        return True

    def rate(self, settings: Settings, side: int = 128) -> tuple[float, float]:
        """(seconds per pixel before sampling, seconds per pixel and network call), measured once on a small picture."""
        known = (settings.method, settings.variant, settings.precision)
        with self._lock:
            if known not in self._rates:
                method = self.method(settings.method, settings.variant)
                steps = {} if "steps" in method.variant.fixed else {"steps": 4}
                small = card(settings.method).settings(
                    settings.variant, samples=1, precision=settings.precision, **steps
                )
                image = torch.full((1, method.variant.channels, side, side), 0.5, device=self.device)
                finish(restore(method.pose(image, small), small))  # warm-up
                began = time.perf_counter()
                problem = method.pose(image, small)
                posed = time.perf_counter()
                last = finish(restore(problem, small))
                pixels = (side * method.variant.scale) ** 2
                per_call = (time.perf_counter() - posed) / last.calls / pixels
                self._rates[known] = ((posed - began) / pixels, per_call)
            return self._rates[known]
