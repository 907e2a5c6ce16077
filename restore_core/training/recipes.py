"""What is trained by `train --method`: a method's networks, its paper's loss, and how a run's result is looked at.

A recipe builds the trainable networks for a task, turns a batch into losses (their sum is minimised), poses a
degraded picture with what has been learnt so far, and names the tensors of the file that the application reads.
Batches come as (clean x0, degraded y), both (N, 3, H, W) in [-1, 1] at the result's size.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from restore_core.checkpoints.match import fill
from restore_core.degradations import Task
from restore_core.errors import SettingsError
from restore_core.methods.sr3 import BETA_END, BETA_START, STEPS
from restore_core.metrics import lpips
from restore_core.networks import compact_unet
from restore_core.networks.compact_unet import CompactModel
from restore_core.processes import VariancePreserving, beta_schedule
from restore_core.training.objectives import (
    denoiser_loss,
    noise_level,
    predictor_loss,
    residual_noise_loss,
)

LOG = logging.getLogger("stepback")
PARTS: Mapping[str, float] = {"predictor": 0.5, "denoiser": 1.0}  # of a compact model: largest norm of a gradient
SD_MEMORY = 0.998  # of the running deviation of x0 - g(y)


@dataclass(frozen=True)
class Choices:
    """What may be chosen beside the method; a recipe refuses what it does not know.

    loss          one of the recipe's losses; "" for the first of them
    lpips         weight of an LPIPS term on the clean picture that the network finds
    width         channels of the finest level of a method's own network; 0: the recipe's
    noise         the process's noise scale in the method's own unit (lambda, kappa); 0: the recipe's
    autoencoder   a file to train in whose latent space; "": on pixels
    base          file of the frozen network that a control branch steers
    cleaner       compact weights whose predictor is the stage before; "": none
    drop          share of the pictures whose condition is withheld (compact networks)
    only          the one of the compact networks that learns, "predictor" or "denoiser"; "": both
    """

    loss: str = ""
    lpips: float = 0.0
    width: int = 0
    noise: float = 0.0
    autoencoder: str = ""
    base: str = ""
    cleaner: str = ""
    drop: float = 0.1
    only: str = ""


class Recipe(ABC):
    """One method in training."""

    key: ClassVar[str]
    rate: ClassVar[float]  # the peak learning rate that suits it
    losses: ClassVar[tuple[str, ...]]
    uses: ClassVar[frozenset[str]] = frozenset()  # which of Choices, beside `loss`, mean something to it

    def __init__(self, task: Task, choices: Choices):
        self.task, self.choices = task, choices
        self.loss = choices.loss or self.losses[0]
        if self.loss not in self.losses:
            raise SettingsError(
                f"'{self.key}' has no loss called '{self.loss}'. Choose one of {', '.join(self.losses)}."
            )
        for name in ("lpips", "width", "noise", "autoencoder", "base", "cleaner", "only"):
            if getattr(choices, name) and name not in self.uses:
                raise SettingsError(
                    f"--{name} means nothing to the method '{self.key}'. Leave it out, or choose another method."
                )

    @abstractmethod
    def build(self) -> nn.Module:
        """The networks to be trained, drawn from torch's seed."""

    @abstractmethod
    def lose(self, model: nn.Module, x0: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The losses of one batch by name."""

    @abstractmethod
    def restore(self, model: nn.Module, y: Tensor) -> Tensor:
        """A quick result for one picture, [-1, 1], in few calls and without chance: what validation looks at."""

    def begin(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Fill `model` with what a file holds, to go on from there; KeysDiffer where it does not fit."""
        fill(model, state)

    def observe(self, model: nn.Module, update: int) -> None:  # noqa: B027
        """Called after each update, for what is measured rather than learnt."""

    def kernels(self, model: nn.Module) -> list[nn.Parameter]:
        """What Muon trains; the rest is AdamW's."""
        return []

    def clips(self, model: nn.Module) -> tuple[tuple[nn.Module, float], ...]:
        """Parts of the model with the largest norm of each one's gradient."""
        return ((model, 1.0),)

    def file(self, average: nn.Module) -> dict[str, Tensor]:
        """Tensors of the weights file, half precision where that loses nothing that matters."""
        return {key: value.half() for key, value in average.state_dict().items()}


class Compact(Recipe):
    """The project's own networks: predictor and one denoiser for every process, side by side.

    L1 for the predictor; the denoiser by EDM's weighting about it (objectives.denoiser_loss).
    """

    key = "compact"
    rate = 6e-4
    losses = ("l1",)
    uses = frozenset({"lpips", "only"})

    def __init__(self, task: Task, choices: Choices):
        super().__init__(task, choices)
        if choices.only not in ("", *PARTS):
            raise SettingsError(
                f"'{choices.only}' is none of the compact networks, so it cannot learn alone. Choose --only "
                f"{' or '.join(PARTS)}, or leave it out."
            )
        if choices.only == "denoiser" and choices.lpips:
            raise SettingsError(
                "--lpips looks at the prediction, which stays as it is where the denoiser learns alone. Leave --lpips "
                "or --only out."
            )
        self.learning = (choices.only,) if choices.only else tuple(PARTS)

    def build(self) -> CompactModel:
        model = compact_unet.new(4 if self.task.scale == 4 else 2, spectra=self.task.spectra)
        for part in set(PARTS) - set(self.learning):
            model.get_submodule(part).requires_grad_(False)
        return model

    def begin(self, model: CompactModel, state: Mapping[str, Tensor]) -> None:
        """A denoiser of another form than the file's begins from chance, which the log says."""
        own = model.state_dict()
        if shapes_of(own, "denoiser.") != shapes_of(state, "denoiser."):
            LOG.warning("The file's denoiser has another form than those that are trained now: it begins from chance.")
            state = own | {name: tensor for name, tensor in state.items() if not name.startswith("denoiser.")}
        super().begin(model, state)

    def lose(
        self, model: CompactModel, x0: Tensor, y: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        with torch.set_grad_enabled("predictor" in self.learning):
            first, g = predictor_loss(model, x0, y)
        found = {"predictor": first} if "predictor" in self.learning else {}
        if "denoiser" in self.learning:
            found["denoiser"] = denoiser_loss(model, x0, y, g, generator, self.choices.drop)
        if self.choices.lpips:
            found["lpips"] = self.choices.lpips * lpips_loss(g, x0)
        self._deviation = (g.detach() - x0).square().mean().sqrt()
        return found

    @torch.no_grad()
    def observe(self, model: CompactModel, update: int) -> None:
        """sd follows the deviation of x0 - g(y)."""
        memory = min(SD_MEMORY, (1 + update) / (10 + update))
        model.sd.lerp_(self._deviation, 1 - memory)

    def restore(self, model: CompactModel, y: Tensor) -> Tensor:
        return model.predict(y)

    def kernels(self, model: CompactModel) -> list[nn.Parameter]:
        """All inside the networks; not what touches pixels, noise levels or spectra."""
        outer = ("head", "tail", "embed", "embed_spectrum")
        return [
            p
            for name, p in model.named_parameters()
            if p.ndim >= 2 and p.requires_grad and name.split(".")[1] not in outer
        ]

    def clips(self, model: CompactModel) -> tuple[tuple[nn.Module, float], ...]:
        return tuple((model.get_submodule(part), PARTS[part]) for part in self.learning)

    def file(self, average: CompactModel) -> dict[str, Tensor]:
        exact = {"sd": average.sd.float(), "data_sd": average.data_sd.float()}
        return super().file(average) | exact


class DvSR(Compact):
    """DvSR's own objective on the same networks: |eps - eps_hat|_1 on the residual, predictor and denoiser jointly.

    Whang et al. 2022. Levels are drawn as SR3 draws them, T = 2000, beta from 1e-6 to 1e-2. An ideal denoiser would
    leave the predictor no reason to be right, hence the explicit term |g(y) - x0|_1 beside it.
    """

    key = "dvsr"
    losses = ("l1", "l2")
    uses = frozenset({"lpips"})

    def lose(
        self, model: CompactModel, x0: Tensor, y: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        first, g = predictor_loss(model, x0, y)
        a = draw_level(SR3_PROCESS, len(x0), generator)
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        second = residual_noise_loss(model, x0, y, g, a, eps, power=POWERS[self.loss]).mean()
        self._deviation = (g.detach() - x0).square().mean().sqrt()
        found = {"predictor": first, "noise": second}
        if self.choices.lpips:
            found["lpips"] = self.choices.lpips * lpips_loss(g, x0)
        return found


def shapes_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, torch.Size]:
    """Of the tensors whose names begin so."""
    return {name: tensor.shape for name, tensor in state.items() if name.startswith(prefix)}


POWERS: Mapping[str, int] = {"l1": 1, "l2": 2}
SR3_PROCESS = VariancePreserving(beta_schedule("linear", STEPS, BETA_START, BETA_END))


def draw_level(process: VariancePreserving, n: int, generator: torch.Generator) -> Tensor:
    """sqrt(abar) of n pictures, float64 (n,): t uniform on 1..T, then uniform between its and t - 1's (SR3, 2.4)."""
    t = torch.randint(1, process.steps + 1, (n,), generator=generator).double()
    return noise_level(process, t, torch.rand(n, generator=generator, dtype=torch.float64))


def draw_time(steps: int, n: int, generator: torch.Generator) -> Tensor:
    """Whole times 1..steps, uniform, float64 (n, 1, 1, 1); they stay on the CPU, for not every device has float64."""
    return torch.randint(1, steps + 1, (n, 1, 1, 1), generator=generator).double()


def lpips_loss(result: Tensor, x0: Tensor) -> Tensor:
    """Mean LPIPS of pictures in [-1, 1], in full precision; 64 px a side or more."""
    with torch.autocast(result.device.type, enabled=False):
        return lpips((result.float() + 1) / 2, (x0 + 1) / 2).mean()


__all__ = ["POWERS", "SR3_PROCESS", "Choices", "Compact", "DvSR", "Recipe", "draw_level", "draw_time", "lpips_loss"]
