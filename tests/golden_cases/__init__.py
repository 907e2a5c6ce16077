"""How each kind of golden fixture is run. A fixture's `case` chooses the runner, never its file name.

A runner takes (meta, outputs): the fixture's JSON as a dict and its npz as a dict of arrays, and fails by assertion.
One module a family; each has RUNNERS: Mapping[case, runner].
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Runner = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], None]


def _collect() -> dict[str, Runner]:
    runners: dict[str, Runner] = {}
    for module in pkgutil.iter_modules(__path__):
        runners.update(getattr(importlib.import_module(f"{__name__}.{module.name}"), "RUNNERS", {}))
    return runners


RUNNERS = _collect()
