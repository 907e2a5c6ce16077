"""SR3's U-Net, told a noise level or a step: names, shapes and outputs of the published implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from golden_cases.compare import assert_close, assert_same_keys, fill, given
from restore_core.networks.sr3_unet import build


@torch.no_grad()
def unet(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Built from the key list alone (and the norm groups), filled, run."""
    state = {key: torch.empty(shape, device="meta") for key, shape, _ in meta["tensors"]}
    network = build(state, {"norm_groups": meta["config"]["norm_groups"]})
    assert_same_keys(network, meta)
    assert sum(p.numel() for p in network.parameters()) == meta["params"]
    fill(network, meta)
    if not outputs:
        return
    inputs = {name: given(spec) for name, spec in meta["inputs"].items()}
    told = inputs["noise_level"] if "noise_level" in inputs else inputs["t"]
    assert_close(network(inputs["x"], told), outputs["y"], meta.get("tolerance"), "y")


RUNNERS = {"sr3/unet": unet}
