"""DiffBIR's second stage in training: a control branch on a frozen latent diffusion network. Lin et al. 2024, eq. 3.

    L = E | target - unet(z_t, t, "", control(z_t, t, "", c)) |^2,      c = encode(cleaned y),  z_0 = encode(x0)

The branch begins as a copy of the base's way down whose outputs are switched off (zero convolutions, Zhang et al.
2023), and whose first convolution does not yet see c: at the start the base draws as it always did.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from restore_core.checkpoints import match
from restore_core.checkpoints.files import open_state
from restore_core.checkpoints.records_diffbir import EPS, V
from restore_core.degradations import Task
from restore_core.errors import SettingsError
from restore_core.methods.diffbir_latent import pose_latent
from restore_core.methods.diffbir_weights import process_of, spaced
from restore_core.networks import stable_diffusion
from restore_core.networks.compact_unet import CompactModel
from restore_core.networks.stable_diffusion import ControlNet, StableDiffusion
from restore_core.problem import Problem
from restore_core.settings import Settings
from restore_core.training.objectives import distance, target
from restore_core.training.published import Published
from restore_core.training.recipes import Choices, draw_time

COPIED = ("input_blocks.", "middle_block.", "time_embed.")
OPTIONS = {
    "control": 1.0, "cfg": 1.0, "cfg_grows": False, "begin": "noise", "colour": "off",
    "guidance": 0.0, "guidance_start": 1.0, "guidance_stop": 0.0,
}  # fmt: skip


class TrainDiffBIR(Published):
    """The control branch. `loss` says what the base was trained to predict: eps (v1, v2) or v (v2.1)."""

    key = "diffbir"
    rate = 1e-4
    losses = ("eps", "v")
    uses = frozenset({"base", "cleaner"})

    def __init__(self, task: Task, choices: Choices, config: Mapping[str, object] | None = None):
        super().__init__(task, choices)
        if not choices.base:
            raise SettingsError(
                "A control branch steers another network, so there must be one. Choose a Stable Diffusion 2.1 file "
                "with --base."
            )
        self._config = dict(config or {})
        self.base = match.build(open_state(Path(choices.base)), self._config)
        if not isinstance(self.base, StableDiffusion):
            raise SettingsError(f"{choices.base} does not hold Stable Diffusion 2.1. Choose another file with --base.")
        self.cleaner = _cleaner(choices.cleaner)
        self.process = process_of({"eps": EPS, "v": V}[self.loss])
        with torch.no_grad():
            self.context = self.base.text.contexts([""])[0].float()

    def build(self) -> ControlNet:
        unet = self.base.unet.state_dict()
        state = {name: tensor for name, tensor in unet.items() if name.startswith(COPIED)}
        first = state["input_blocks.0.0.weight"]
        state["input_blocks.0.0.weight"] = torch.cat([first, torch.zeros_like(first)], dim=1)
        control = stable_diffusion.build_control(state, self._config)
        missing = {name: torch.zeros_like(t) for name, t in control.state_dict().items() if name not in state}
        control.load_state_dict(state | missing)
        return control

    def _on(self, device: torch.device) -> StableDiffusion:
        """The frozen networks, where the pictures are; the text encoder has done its work."""
        self.base.unet.to(device)
        self.base.autoencoder.to(device)
        return self.base

    @torch.no_grad()
    def clean(self, y: Tensor) -> Tensor:
        """The first stage's picture, [-1, 1]; y itself where there is no cleaner."""
        return y if self.cleaner is None else self.cleaner.to(y.device).predict(y).clamp(-1, 1)

    def lose(self, model: ControlNet, x0: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        base = self._on(x0.device)
        with torch.no_grad():
            z0, c = base.autoencoder.encode(x0).float(), base.autoencoder.encode(self.clean(y)).float()
        t = draw_time(self.process.steps, len(x0), generator)
        eps = torch.randn(z0.shape, generator=generator).to(z0)
        zero = torch.zeros_like(z0)
        x, context = self.process.diffuse(z0, zero, t, eps), self.context.to(z0).expand(len(z0), -1, -1)
        index = t.flatten().float() - 1
        raw = base.unet(x, index, context, model(x, index, context, c)).float()
        return {self.loss: distance(raw, target(self.process, self.loss, z0, zero, t, eps)).mean()}

    def options(self) -> dict[str, object]:
        return dict(OPTIONS)

    def pose(self, model: nn.Module, y: Tensor, settings: Settings) -> Problem:
        base = self._on(y.device)
        return pose_latent(
            base, model, (self.clean(y) + 1) / 2, tuple(y.shape[-2:]), self.context.to(y.device).expand(2, -1, -1),
            self.process, self.loss, settings, times=spaced(self.process), condition_noise=torch.zeros_like,
        )  # fmt: skip


def _cleaner(file: str) -> CompactModel | None:
    """The first stage: compact weights, whose predictor is taken."""
    if not file:
        return None
    network = match.build(open_state(Path(file)), {})
    if not isinstance(network, CompactModel):
        raise SettingsError(f"{file} does not hold compact weights, whose predictor could clean. Choose another file.")
    return network


__all__ = ["TrainDiffBIR"]
