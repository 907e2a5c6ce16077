"""Methods, loaded once and shared: the last few are kept, the rest make room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from restore_core import devices
from restore_core.checkpoints import catalogue, files, recognition
from restore_core.errors import SettingsError
from restore_core.methods import EVERY, Card, Method
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.tiling import Heed, alone
from restore_core.timing import Timing, measured

POLL = 0.1  # seconds between two looks at whether to go on
SIDES = (128, 256)  # pixels of the results at which networks are timed


def card(key: str) -> Card:
    """The card of the method called `key`."""
    if key not in EVERY:
        raise SettingsError(f"There is no method called '{key}'. Choose one of {', '.join(EVERY)}.")
    return EVERY[key].card


def worked_pixels(settings: Settings, height: int, width: int) -> float:
    """Of a result of this size, as many as the networks of these settings see."""
    return card(settings.method).variant(settings.variant).worked_pixels(height, width)


class Library:
    """Networks on one device. Safe to share between threads; a network is loaded by one and waited for by the others.

    keep      how many networks stay in memory
    compile   whether networks are compiled at their first call, which then takes a minute, and later ones less
    """

    def __init__(self, device: str | None = None, *, keep: int = 4, compile: bool = False):
        self.device, self.compile = devices.choose(device), compile
        devices.use_cores()
        if compile:
            devices.check_compiler(self.device)
        self.precision = devices.choose_precision(self.device)
        self.keep = keep
        self._networks: OrderedDict[str, tuple[tuple[Path, int, int], nn.Module]] = OrderedDict()
        self._timings: dict[tuple[str, str, str], Timing] = {}
        self._lock = threading.RLock()

    def method(self, key: str, variant: str, heed: Heed = alone) -> Method:
        """The method with this variant's weights, on the device.

        heed   asked while it waits for networks, and later while it poses a large photo
        """
        chosen = card(key).variant(variant)
        for weights in chosen.weights.values():  # what is missing is told before gigabytes of the rest are read
            files.locate(catalogue.record(weights))
        modules = {role: self.network(weights, heed) for role, weights in chosen.weights.items()}
        return EVERY[key](chosen, modules, heed)

    def network(self, key: str, heed: Heed = alone) -> nn.Module:
        """The network of one catalogue record; loaded at the first call, and again when its file has changed."""
        record = catalogue.record(key)
        heed(0, 1)
        with self._held(heed):
            file = recognition.identity(files.locate(record))
            if key not in self._networks or self._networks[key][0] != file:
                module = files.load(record)
                module = module.to(self.device, memory_format=torch.channels_last)
                self._networks[key] = file, devices.compiled(module, self.device) if self.compile else module
            self._networks.move_to_end(key)
            while len(self._networks) > self.keep:
                self._networks.popitem(last=False)
            return self._networks[key][1]

    @contextmanager
    def _held(self, heed: Heed) -> Iterator[None]:
        """The lock, for which one may wait while another loads gigabytes or measures."""
        while not self._lock.acquire(timeout=POLL):
            heed(0, 1)
        try:
            yield
        finally:
            self._lock.release()

    def missing(self, key: str, variant: str) -> tuple[str, ...]:
        """Catalogue keys of the variant's weights that are not on this machine."""
        weights = card(key).variant(variant).weights.values()
        return tuple(name for name in weights if not files.standing(catalogue.record(name)).path)

    def has(self, key: str, variant: str) -> bool:
        """Whether all weights of the variant are on this machine."""
        return not self.missing(key, variant)

    def timing(self, settings: Settings) -> Timing:
        """How long runs of this kind take, measured once on small pictures."""
        known = _kind(settings)
        with self._lock:
            if known not in self._timings:
                self._timings[known] = self._measured(settings)
            return self._timings[known]

    def is_measured(self, settings: Settings) -> bool:
        """Whether timing() answers at once, without the device."""
        return _kind(settings) in self._timings

    def _measured(self, settings: Settings) -> Timing:
        method = self.method(settings.method, settings.variant)
        variant = method.variant

        def rehearse(side: int, steps: int) -> tuple[Problem, Settings]:
            height = max(16, side // variant.scale)
            image = torch.full((1, variant.channels, height, height), 0.5, device=self.device)
            small = card(settings.method).settings(
                variant.key, samples=1, precision=settings.precision, steps=None if "steps" in variant.fixed else steps
            )
            return method.rehearse(image, small), small

        return measured(rehearse, SIDES)


def _kind(settings: Settings) -> tuple[str, str, str]:
    """What runs of one timing have in common."""
    return settings.method, settings.variant, settings.precision
