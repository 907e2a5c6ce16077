"""When the damage is known: the unconditional compact denoiser, guided by A. What DDNM, DDRM and DPS share.

The compact networks were trained with the condition dropped (y = g = 0) in a tenth of the pictures, so they also know
what pictures look like at all: D(u, level) = E[x0 | u], preconditioned by the deviation of pictures themselves. That
prior is a small one; what it gains is that A may be anything that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.methods.base import Card, Variant, presets
from restore_core.methods.compact import MULTIPLE, to_image, to_signed
from restore_core.methods.holes import known_parts
from restore_core.networks.compact_unet import LEVEL_RANGE, CompactModel
from restore_core.operators import Mask, Operator, blurring, shrinking
from restore_core.problem import Network, Problem
from restore_core.processes import VariancePreserving, beta_schedule
from restore_core.settings import Option, Settings

STEPS = 1000
NOISE = Option(
    "noise", "Noise in the photo (grey levels)", 1.0, 0.0, 50.0, 0.5,
    help="Its deviation. 0: the photo is taken at its word; rounding to 8 bits alone is 0.3.",
)  # fmt: skip
BLUR = Option(
    "blur", "Blur (deviation in pixels)", 2.0, 0.3, 8.0, 0.1,
    help="Of the Gaussian that the photo was blurred with. Used where blur is what is undone.",
)  # fmt: skip
VARIANTS: tuple[Variant, ...] = (
    Variant("known-sr4", "Known: shrunk to a quarter", "sr4", {"network": "compact/sr4"}, scale=4),
    Variant("known-blur", "Known: Gaussian blur", "deblur", {"network": "compact/deblur"}),
    Variant("known-holes", "Known: holes (transparent parts)", "inpaint", {"network": "compact/sr4"}, channels=4),
)


def card(key: str, title: str, paper: str, summary: str, *, options: tuple[Option, ...] = (NOISE, BLUR)) -> Card:
    """The card of a method that must know the damage."""
    defaults = {"sampler": "ddim", "steps": 50, "spacing": "log-snr", "eta": 1.0}
    return Card(
        key, title, paper, summary, VARIANTS, options, defaults | {o.key: o.default for o in options},
        presets({"samples": 8}, {"eta": 0.0}, {}, {"steps": 100}, {"steps": 200}),
    )  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What is known: y = A x0 + sigma z in [-1, 1]; sigma in the same units, 0 for methods that do not ask for it."""

    process: VariancePreserving
    operator: Operator
    y: Tensor
    sigma: float

    @property
    def start(self) -> Tensor:
        """A^+ y: all that the photo tells, in the picture's shape."""
        return self.operator.inverse(self.y).float()


Guide = Callable[[Tensor, float], Tensor]  # (guess, t/steps) -> guess


def setting(image: Tensor, settings: Settings, variant: Variant) -> Setting:
    """The photo and its damage, by what the variant undoes."""
    process = VariancePreserving(beta_schedule("linear", STEPS, 1e-4, 2e-2))
    sigma = settings.options.get(NOISE.key, 0.0) / 127.5
    y = to_signed(image[:, :3])
    if variant.task == "inpaint":
        operator: Operator = Mask(known_parts(image))
        return Setting(process, operator, operator.forward(y), sigma)
    size = tuple(side * variant.scale for side in y.shape[-2:])
    if variant.scale > 1:
        return Setting(process, shrinking(size, variant.scale, y.device), y, sigma)
    return Setting(process, blurring(size, settings.options["blur"], y.device), y, sigma)


def prior(model: CompactModel, known: Setting) -> Network:
    """x_t -> E[x0 | x_t], without any condition."""
    process, power = known.process, model.describe(torch.zeros_like(known.start))

    def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        a, _, s = (c.to(x) for c in process.marginal(t))
        nothing, sd = torch.zeros_like(x), model.data_sd
        level = (s / a).clamp(max=LEVEL_RANGE[1]).reshape(-1)
        fed = model.network_input(x, a, s, nothing, nothing, sd)
        return model.estimate(model.denoiser(fed, level, power).float(), x, a, s, nothing, sd)

    return network


def problem(known: Setting, network: Network, guide: Guide | None = None) -> Problem:
    """The picture posed as VP from pure noise, everything it is told coming through `network` or `guide`."""
    start = known.start
    return Problem(
        process=known.process, network=network, predicts="x0", anchor=torch.zeros_like(start), encode=to_signed,
        decode=to_image, guess=start, clip=1.0, guide=guide, multiple=MULTIPLE,
    )  # fmt: skip


def refuse_tiles(x: Tensor, known: Setting) -> None:
    """SettingsError where x is only a part of the picture."""
    if x.shape[-2:] != known.operator.strengths.shape[-2:]:
        raise SettingsError(
            "This method looks at the whole picture in every step, so it cannot work in pieces. Choose a smaller "
            "photo, or Never for tiles."
        )
