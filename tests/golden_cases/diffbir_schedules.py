"""DiffBIR's two noise schedules, the time grids of its samplers, its growing guidance weight and its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.closed_form import take
from golden_cases.compare import assert_close, given
from restore_core.checkpoints.records_diffbir import EPS, V
from restore_core.grids import leading
from restore_core.methods.diffbir_weights import process_of, spaced, truncated
from restore_core.methods.prompting import growing
from restore_core.processes import VariancePreserving

F64 = torch.float64
FIRST = 1e-8  # what the EDM samplers put in the place of abar_T
_KNOWN = {"diffusion": None, "spaced_steps": (), "ddim_steps": (), "edm_steps": (), "cfg_scale": None,
          "cfg_timesteps": (), "q_sample_t": ()}  # fmt: skip


def schedule(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Everything by our process and grids; an index i of the files is our time i + 1."""
    config = take(meta["config"], _KNOWN)
    records = {"sd21": EPS, "sd21_zsnr": V}
    assert config["diffusion"] in records, f"unknown schedule {config['diffusion']!r}; known: {', '.join(records)}"
    process = process_of(records[config["diffusion"]])
    ours = _tables(process) | _targets(process, config["q_sample_t"], meta["inputs"])
    for steps in config["spaced_steps"]:
        ours |= _spaced(process, steps)
    for steps in config["edm_steps"]:
        ours |= _edm(process, steps)
    for steps in config["ddim_steps"]:
        outputs = {**outputs, **_without_surplus(steps, outputs)}
        ours |= _ddim(process, steps)
    ours["cfg_rescaled"] = torch.tensor([growing(config["cfg_scale"], t) for t in config["cfg_timesteps"]], dtype=F64)
    assert set(outputs) == set(ours), f"not compared: {sorted(set(outputs) ^ set(ours))}"
    for name, value in ours.items():
        assert_close(value, outputs[name], None, name, relative=meta["tolerance"])


def _tables(process: VariancePreserving) -> dict[str, Tensor]:
    t = torch.arange(1, process.steps + 1, dtype=F64)
    a, _, s = process.marginal(t)
    return {
        "betas": process.forward_std(t - 1, t) ** 2,
        "alphas_cumprod": a**2,
        "sqrt_alphas_cumprod_f32": a,
        "sqrt_one_minus_alphas_cumprod_f32": s,
    }


def _targets(process: VariancePreserving, indices: Sequence[int], inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """x_t, and v as the one reading of x_t that gives x0 and eps back."""
    x0, eps = given(inputs["x0"]), given(inputs["noise"])
    states, targets = [], []
    for index in indices:
        t = torch.tensor(index + 1.0, dtype=F64)
        a, _, s = process.marginal(t)
        states.append(process.diffuse(x0, torch.zeros_like(x0), t, eps))
        targets.append(a * eps - s * x0)
        back = process.from_v(states[-1], torch.zeros_like(x0), t, targets[-1])
        assert_close(back.x0, x0.numpy(), 1e-5, "x0 of v")
        assert_close(back.eps, eps.numpy(), 1e-5, "eps of v")
    return {"q_sample": torch.stack(states), "v_target": torch.stack(targets)}


def _spaced(process: VariancePreserving, steps: int) -> dict[str, Tensor]:
    """The respaced chain, ascending: x' = coef1 x0 + coef2 x + sqrt(variance) z."""
    times = spaced(process)(steps)
    t, t_next = times[:-1].flip(0), times[1:].flip(0)
    one, zero = torch.ones(1, dtype=F64), torch.zeros(1, dtype=F64)

    def weights(x0: Tensor, x: Tensor) -> Tensor:
        means = [process.posterior_mean(x, zero, n, now, x0) for n, now in zip(t_next, t, strict=True)]
        return torch.cat(means)

    return {
        f"spaced{steps}_timesteps": t - 1,
        f"spaced{steps}_posterior_mean_coef1": weights(one, zero),
        f"spaced{steps}_posterior_mean_coef2": weights(zero, one),
        f"spaced{steps}_posterior_variance": process.posterior_std(t_next, t) ** 2,
        f"spaced{steps}_sqrt_alphas_cumprod": process.marginal(t).a,
    }


def _ddim(process: VariancePreserving, steps: int) -> dict[str, Tensor]:
    """Ascending; the last step of the published code leads to index 0, not to the clean picture."""
    t = leading(process.steps, steps, offset=1)[:-1].flip(0)
    abar = process.marginal(t).a ** 2
    last = process.marginal(torch.ones(1)).a ** 2
    return {
        f"ddim{steps}_timesteps": t - 1,
        f"ddim{steps}_alphas": abar,
        f"ddim{steps}_alphas_prev": torch.cat([last, abar[:-1]]),
    }


def _without_surplus(steps: int, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where S does not divide 1000 the published grid has more steps than asked, the noisiest; ours has S."""
    return {name: value[:steps] for name, value in outputs.items() if name.startswith(f"ddim{steps}_")}


def _edm(process: VariancePreserving, steps: int) -> dict[str, Tensor]:
    """The levels of v2.1's grid, the first as published: abar_T is not what the schedule says, but 1e-8."""
    times = truncated(process)(steps)
    levels = process.level(times)
    levels[0] = ((1 - FIRST) / FIRST) ** 0.5
    return {f"edm{steps}_sigmas": levels, f"edm{steps}_timesteps": (times - 1).clamp(min=0)}


RUNNERS = {"diffbir/schedule": schedule}
