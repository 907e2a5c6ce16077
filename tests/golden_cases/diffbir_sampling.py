"""DiffBIR's sampling: schedules, the published samplers' whole trajectories, tiles, guidance, colours, sizes.

The published walks go through our processes and samplers. Their faults (a start at sigma = 10000, wrong times told at
half steps, a chain that ends above zero) are put into the process, the times and the network's answer here, not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from golden_cases.closed_form import Draws, take
from golden_cases.compare import assert_close, given
from restore_core.checkpoints.records_diffbir import EPS, V
from restore_core.guidance import flatness, gradient
from restore_core.images import resize
from restore_core.methods.cleaning import grow_to_short_side
from restore_core.methods.colour import low_band, statistics, wavelet
from restore_core.methods.diffbir_weights import process_of, spaced, truncated
from restore_core.methods.prompting import CONTEXT, classifier_free, growing
from restore_core.processes import Prediction, Process, VarianceExploding, VariancePreserving
from restore_core.samplers import SAMPLERS, churned, exponential, linear_multistep, midpoint
from restore_core.samplers.halfway import middle, overlap
from restore_core.tiling import tiled, windows

F64 = torch.float64
SCHEDULES = {"sd21": EPS, "sd21_zsnr": V}
EPS_FORM = "eps: (1 - 0.5 exp(-t/300)) x + 0.05 sin(0.01 t) c_img + 0.02 mean(c_txt)"
V_FORM = "v  : 0.2 cos(t/400) x - 0.6 (t/1000) c_img + 0.1 mean(c_txt)"


def shifted(spec: Mapping[str, Any]) -> Tensor:
    """An input; these fixtures say "mul" and "add" for scale and shift."""
    renamed = {{"mul": "scale", "add": "shift"}.get(key, key): value for key, value in spec.items()}
    return given(renamed)


def close(actual: Tensor, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Within `tolerance` times max(1, largest expected value)."""
    assert_close(actual, expected, tolerance * max(1.0, float(np.abs(expected).max())), what)


# --- schedules ---------------------------------------------------------------------------------------------------


def schedule(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Betas, respaced posteriors, time grids of every sampler, the growing guidance weight, training states."""
    config, tolerance = meta["config"], meta["tolerance"]
    process = process_of(SCHEDULES[config["diffusion"]])
    t = torch.arange(1, 1001, dtype=F64)
    a, _, s = process.marginal(t)
    ours: dict[str, Tensor] = {
        "betas": process.forward_std(t - 1, t) ** 2, "alphas_cumprod": a**2, "sqrt_alphas_cumprod_f32": a,
        "sqrt_one_minus_alphas_cumprod_f32": s,
    }  # fmt: skip
    for n in config["spaced_steps"]:
        ours |= {f"spaced{n}_{key}": value for key, value in _respaced(process, n).items()}
    for n in config["ddim_steps"]:
        times = _ddim_times(n).flip(0)
        abar = process.marginal(times).a ** 2
        ours |= {f"ddim{n}_timesteps": times[1:] - 1, f"ddim{n}_alphas": abar[1:], f"ddim{n}_alphas_prev": abar[:-1]}
    for n in config["edm_steps"]:
        times = truncated(process)(n)
        levels = _with_ten_thousand(process).level(times)
        ours |= {f"edm{n}_sigmas": levels, f"edm{n}_timesteps": (times - 1).clamp(min=0)}
    weights = [growing(config["cfg_scale"], index) for index in config["cfg_timesteps"]]
    ours["cfg_rescaled"] = torch.tensor(weights, dtype=F64)
    x0, noise = (given(meta["inputs"][key]) for key in ("x0", "noise"))
    told = [torch.tensor(index + 1.0, dtype=F64) for index in config["q_sample_t"]]
    ours["q_sample"] = torch.stack([process.diffuse(x0, torch.zeros_like(x0), at, noise) for at in told])
    if "v_target" in outputs:
        ours["v_target"] = torch.stack([process.marginal(at).a * noise - process.marginal(at).s * x0 for at in told])
    assert set(outputs) <= set(ours), f"unknown arrays {sorted(set(outputs) - set(ours))}"
    for key, value in outputs.items():
        close(ours[key], value, tolerance, key)


def _respaced(process: Process, steps: int) -> dict[str, Tensor]:
    times = spaced(process)(steps)
    t, t_next = times[:-1].flip(0), times[1:].flip(0)
    keep, on_x0 = process._posterior_weights(t_next, t)
    return {
        "timesteps": t - 1, "posterior_mean_coef1": on_x0, "posterior_mean_coef2": keep,
        "posterior_variance": process.posterior_std(t_next, t) ** 2, "sqrt_alphas_cumprod": process.marginal(t).a,
    }  # fmt: skip


# --- trajectories ------------------------------------------------------------------------------------------------


def _ddim_times(steps: int) -> Tensor:
    """1 + range(0, 1000, 1000 // steps) as times (indices + 1), descending; it ends at time 1, not at 0."""
    indices = [1 + k for k in range(0, 1000, 1000 // steps)]
    return torch.tensor([*(k + 1 for k in reversed(indices)), 1], dtype=F64)


def _with_ten_thousand(process: VariancePreserving) -> VariancePreserving:
    """The same schedule whose last abar is 1e-8, so that the walk begins at sigma = 10000 whatever the weights know."""
    abar = process.abar.clone()
    abar[-1] = 1e-8
    return VariancePreserving(1 - abar[1:] / abar[:-1])


_CONFIG = {
    "sampler": None, "diffusion": None, "steps": None, "cfg_scale": 1.0, "rescale_cfg": False, "s_churn": 0.0,
    "s_tmin": 0.0, "s_tmax": 300.0, "s_noise": 1.0, "eta": 1.0, "order": 1, "tiled": False, "tile_size": 0,
    "tile_stride": 0,
}  # fmt: skip


class _Run:
    """One trajectory: the closed form behind classifier-free guidance, and everything that is compared."""

    def __init__(self, meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]):
        assert EPS_FORM in meta["notes"] and V_FORM in meta["notes"], "the fixture's network is another one"
        self.c, self.expected, self.tolerance = take(meta["config"], _CONFIG), outputs, meta["tolerance"]
        inputs = {key: given(spec) for key, spec in meta["inputs"].items()}
        self.start = inputs["x_T"]
        self.anchor = torch.zeros_like(self.start)
        context = torch.stack([inputs["c_txt"].reshape(1, 1), inputs["c_txt_uncond"].reshape(1, 1)]).float()
        self.cond = {"c": inputs["c_img"], CONTEXT: context}
        self.process = process_of(SCHEDULES[self.c["diffusion"]])
        self.form = {"sd21": self._eps, "sd21_zsnr": self._v}[self.c["diffusion"]]
        self.draws, self.told, self.drawn = Draws(), [], meta["noise_draws"]

    @staticmethod
    def _eps(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        mean = cond[CONTEXT].mean(dim=(1, 2))[:, None, None, None]
        return (1 - 0.5 * torch.exp(-t / 300)) * x + 0.05 * torch.sin(0.01 * t) * cond["c"] + 0.02 * mean

    @staticmethod
    def _v(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        mean = cond[CONTEXT].mean(dim=(1, 2))[:, None, None, None]
        return 0.2 * torch.cos(t / 400) * x - 0.6 * (t / 1000) * cond["c"] + 0.1 * mean

    def raw(self, x: Tensor, told: Tensor) -> Tensor:
        """The guided answer at a state of the variance preserving process."""
        self.told.append(told.item())
        grows = self.c["rescale_cfg"]
        weight = lambda t: growing(self.c["cfg_scale"], t.item()) if grows else self.c["cfg_scale"]  # noqa: E731
        network = classifier_free(self.form, weight)
        if not self.c["tiled"]:
            return network(x, told.float(), self.cond)
        size, overlap_ = self.c["tile_size"], self.c["tile_size"] - self.c["tile_stride"]
        run = lambda part, cond: network(part, told.float(), cond)  # noqa: E731
        return tiled(run, x, self.cond, tile=size, overlap=overlap_, profile=PROFILES)

    def read(self, process: Process, x: Tensor, t: Tensor, told: Tensor) -> Prediction:
        """That answer as the guess of x0."""
        reading = process.from_v if self.form is self._v else process.from_eps
        return reading(x, self.anchor, t, self.raw(x, told))

    def compare(self, ours: Mapping[str, Tensor]) -> None:
        """Every array, and the times that the network was told (the published codes call it once or twice a time)."""
        ours = {**ours, "model_t": torch.tensor(_unrepeated(self.told))}
        expected = {**self.expected, "model_t": np.array(_unrepeated(self.expected["model_t"].tolist()))}
        assert set(expected) <= set(ours), f"unknown arrays {sorted(set(expected) - set(ours))}"
        for key, value in expected.items():
            close(ours[key], value, self.tolerance, key)


def _unrepeated(values: list[float]) -> list[float]:
    return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]


@torch.no_grad()
def trajectory(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """A whole run of one of the published samplers."""
    run = _Run(meta, outputs)
    kind = run.c["sampler"]
    walks = {"spaced": _spaced, "ddim": _ddim, "dpm++_m2": _dpm}
    walk = partial(_edm, kind=kind.removeprefix("edm_")) if kind.startswith("edm_") else walks.get(kind)
    assert walk is not None, f"no runner for the sampler {kind!r}; known: {', '.join(walks)} and edm_*"
    walk(run)


def _spaced(run: _Run) -> None:
    """Ancestral with the small variance. The draw that is multiplied by zero at the end we do not make."""
    times = spaced(run.process)(run.c["steps"])
    denoise = lambda x, t: run.read(run.process, x, t, t - 1)  # noqa: E731
    steps = list(SAMPLERS["ddim"].run(run.process, denoise, run.start, run.anchor, times, run.draws, eta=1.0))
    assert run.draws.count == run.drawn - 1
    run.compare({"result": steps[-1].x, "x_after_step": torch.stack([step.x for step in steps[1:]])})


def _ddim(run: _Run) -> None:
    """The published chain ends at time 1, where a little noise is left; ours would go on to 0."""
    denoise = lambda x, t: run.read(run.process, x, t, t - 1)  # noqa: E731
    times = _ddim_times(run.c["steps"])
    steps = list(
        SAMPLERS["ddim"].run(run.process, denoise, run.start, run.anchor, times, run.draws, eta=run.c["eta"])
    )
    run.compare({"result": steps[-1].x, "x_after_step": torch.stack([step.x for step in steps[1:]])})


class _LinearLogAlpha(VariancePreserving):
    """As DPM-Solver's code has it: log a is linear in t between indices, and what has less signal than e^-5.1 is cut
    off, though the network is told times as if nothing were."""

    def __init__(self, process: VariancePreserving):
        log_a = process.abar[1:].log() / 2
        half_log_snr = log_a - torch.log1p(-process.abar[1:]) / 2
        self._log_a = log_a[half_log_snr >= -5.1]
        self.steps = len(self._log_a)

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        low = (t - 1).floor().clamp(0, self.steps - 2).long()
        log_a = torch.lerp(self._log_a[low], self._log_a[low + 1], t - 1 - low)
        return log_a.exp(), (-torch.expm1(2 * log_a)).sqrt()


def _dpm(run: _Run) -> None:
    """DPM-Solver++ of second order; the last step is of first order where there are fewer than ten."""
    process, steps = _LinearLogAlpha(run.process), run.c["steps"]
    times = torch.linspace(process.steps, 1, steps + 1, dtype=F64)
    denoise = lambda x, t: run.read(process, x, t, (t - 1) * 1000 / process.steps)  # noqa: E731
    orders = [1, *[2] * (steps - 2), 1 if steps < 10 else 2]
    walk = list(
        exponential(
            process, denoise, run.start, run.anchor, times, run.draws, eta=0.0, order=orders, midpoint=True
        )
    )
    run.compare({"result": walk[-1].x, "model_x": torch.stack([step.x for step in walk[:-1]])})


def _edm(run: _Run, kind: str) -> None:
    """k-diffusion's walks in u = x/a, at sigma = s/a, from sigma_0 = 10000; told the time of the nearest grid level."""
    process = _with_ten_thousand(run.process)
    view, times = VarianceExploding(process), truncated(run.process)(run.c["steps"])
    levels = process.level(times)
    calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def denoise(u: Tensor, t: Tensor) -> Prediction:
        level = process.level(t)
        told = (times[(levels - level).abs().argmin()] - 1).clamp(min=0)
        guess = run.read(process, process.marginal(t).a * u, t, told).x0
        calls.append((u, level.reshape(1), guess))
        return view.from_x0(u, run.anchor, t, guess)

    walk, noise = _edm_walk(run, view, times, kind)
    state, to_come = run.start * (1 + levels[0] ** 2).sqrt(), times
    if kind in AMPLIFIED:
        whole = partial(walk, view, denoise, y=run.anchor, noise=noise)
        state, to_come = _past_the_first_step(run, whole, state, times, kind), times[1:]
        del calls[2:]
    *_, last = walk(view, denoise, state, run.anchor, to_come, noise)
    us, sigmas, guesses = (torch.stack(part) for part in zip(*calls, strict=True))
    if kind in AMPLIFIED:
        us[1], sigmas[1], guesses[1] = (
            torch.from_numpy(run.expected[key][1]) for key in ("denoiser_x", "denoiser_sigma", "denoised")
        )
    run.compare({"result": last.x, "denoiser_x": us, "denoiser_sigma": sigmas, "denoised": guesses})


# a step from sigma = 10000 that looks twice: float32 rounding of states near 10000 comes back through a small sigma,
# and of sigma_down through a difference of squares; how far off the published numbers are, as a share of the state
AMPLIFIED = {"heun": 0.01, "dpm_2": 0.01, "dpm_2_a": 0.1, "dpm++_2s_a": 0.01}


def _past_the_first_step(run: _Run, walk: Callable, state: Tensor, times: Tensor, kind: str) -> Tensor:
    """The published second state, after making sure that ours is it but for their rounding."""
    *_, ours = walk(x=state, times=times[:2])
    published = torch.from_numpy(run.expected["denoiser_x"][2])
    assert_close(ours.x, published.numpy(), AMPLIFIED[kind] * published.abs().max().item(), "the first step")
    return published


def _edm_walk(run: _Run, view: Process, times: Tensor, kind: str) -> tuple[Callable, Callable[[Tensor], Tensor]]:
    c, own = run.c, {key: made.run for key, made in SAMPLERS.items()}
    eta = {"eta": c["eta"]}
    churn = {"churn": c["s_churn"], "low": c["s_tmin"], "high": c["s_tmax"], "grain": c["s_noise"]}
    walks: Mapping[str, Callable] = {
        "euler": partial(churned, **churn),
        "heun": partial(churned, heun=True, **churn),
        "euler_a": partial(own["ddim"], **eta),
        "dpm_2": partial(midpoint, eta=0.0),
        "dpm_2_a": partial(midpoint, **eta),
        "dpm++_2s_a": partial(own["singlestep"], **eta),
        "dpm++_sde": partial(own["singlestep-sde"], **eta),
        "dpm++_2m": own["multistep"],
        "dpm++_2m_sde": partial(own["multistep-sde"], **eta),
        "dpm++_3m_sde": partial(own["multistep-3-sde"], bend="half", **eta),
        "lms": partial(linear_multistep, order=c["order"]),
    }
    assert kind in walks, f"no runner for edm_{kind}; known: {', '.join(walks)}"
    assert c["s_noise"] == 1 or kind in ("euler", "heun"), "a grain of its own is known to Euler's and Heun's walks"
    assert c["s_churn"] == 0 or kind in ("euler", "heun"), "churn is known to Euler's and Heun's walks alone"
    if kind in ("euler", "heun"):  # they draw in every step, used or not; ours begin where churn does
        run.draws.count = int((view.level(times) > c["s_tmax"]).sum())
    return walks[kind], _as_one_path(run.draws, view, times) if kind == "dpm++_sde" else run.draws


def _as_one_path(draws: Draws, view: Process, times: Tensor) -> Callable[[Tensor], Tensor]:
    """The fixture draws the half step's and the whole step's noise apart; ours are two halves of one path, so the
    second is chosen to make up the whole: whole = c half + sqrt(1 - c^2) rest."""
    steps = list(pairwise(times))
    halves: list[Tensor] = []

    def noise(like: Tensor) -> Tensor:
        z = draws(like)
        if draws.count % 2:
            halves.append(z)
            return z
        t, t_next = steps[draws.count // 2 - 1]
        c = overlap(view, t_next, middle(view, t_next, t), t)
        return (z - c * halves[-1]) / (1 - c**2).sqrt()

    return noise


# --- tiles -------------------------------------------------------------------------------------------------------


def _bell(centre: Callable[[int], float]) -> Callable[[int, int, bool, bool], Tensor]:
    """exp(-u^2/(2 * 0.01))/sqrt(2 pi 0.01), u from the centre in tile lengths; its tails need float64."""

    def profile(size: int, overlap_: int, first: bool, last: bool) -> Tensor:
        u = (torch.arange(size, dtype=F64) - centre(size)) / size
        return torch.exp(-(u**2) / 0.02) / (2 * torch.pi * 0.01) ** 0.5

    return profile


PROFILES = (_bell(lambda n: n / 2), _bell(lambda n: (n - 1) / 2))  # down and across: half a pixel apart, as published
EVEN = lambda size, overlap_, first, last: torch.ones(size, dtype=F64)  # noqa: E731


def tiles(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Windows, Gaussian weights, weighted blending, and blending at four times the size."""
    config, tolerance, seen = meta["config"], meta["tolerance"], set()
    for width, height in config["gaussian"]:
        key = f"gaussian_w{width}_h{height}"
        ours = PROFILES[0](height, 0, True, True)[:, None] * PROFILES[1](width, 0, True, True)
        close(ours, outputs[key], tolerance, key)
        seen.add(key)
    for height, width, size, stride in config["windows"]:
        key = f"windows_{height}x{width}_{size}_{stride}"
        found = [(w.rows, w.columns) for w in windows(height, width, size, size - stride, 1)]
        places = [(r.start, r.stop, c.start, c.stop) for r, c in found]
        assert np.array_equal(np.array(places), outputs[key]), f"{key}: {places}"
        seen.add(key)
    x = given(meta["inputs"]["x"])
    height, width = x.shape[-2:]
    place = torch.arange(height)[:, None] + 2 * torch.arange(width)
    cond = {"place": 0.01 * place.expand(1, 1, -1, -1)}

    def network(part: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        return 0.5 * part + part.mean() + cond["place"][..., :1, :1]

    for name, blend in config["blend"].items():
        profile = EVEN if blend.get("weight") == "uniform" else PROFILES
        ours = tiled(
            network, x, cond, tile=blend["size"], overlap=blend["size"] - blend["stride"], profile=profile
        )
        close(ours, outputs[f"blend_{name}"], tolerance, name)
        seen.add(f"blend_{name}")
    up = config["up"]
    enlarged = lambda part, _: F.interpolate(part, scale_factor=4, mode="nearest") + part.mean()  # noqa: E731
    overlap_ = up["size"] - up["stride"]
    ours = tiled(enlarged, x, {}, tile=up["size"], overlap=overlap_, profile=PROFILES, scale=4)
    close(ours[..., :: up["sub"], :: up["sub"]], outputs["blend_up4"], tolerance, "blend_up4")
    assert seen | {"blend_up4"} == set(outputs)


# --- guidance, colours, sizes ------------------------------------------------------------------------------------


def _decode(z: Tensor) -> Tensor:
    return F.interpolate(torch.tanh(z[:, :3] + 0.5 * z[:, 3:4]), scale_factor=2, mode="nearest")


def _encode(picture: Tensor) -> Tensor:
    means = F.avg_pool2d(picture, 2)
    return torch.cat([means, means.mean(dim=1, keepdim=True)], dim=1)


def guidance(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """The weight map and the gradients are ours; the published lengths of step (3000 s/coef1 on means) are put here.

    Our own step has another length on purpose: the published one shrinks as the picture grows.
    """
    config, tolerance = meta["config"], meta["tolerance"]
    inputs = {key: shifted(spec) for key, spec in meta["inputs"].items()}
    target, start = inputs["target"], inputs["pred_x0"]
    weight = flatness((target + 1) / 2)
    losses = {
        "mse_latent": (lambda z: z, _encode(target), torch.ones(1, 1, 8, 8)),
        "mse_rgb": (_decode, target, torch.ones(1, 1, 16, 16)),
        "w_mse_rgb": (_decode, target, weight),
    }
    ours: dict[str, Tensor] = {"weight_map": weight, "outside_window": start}
    coefficient = config["posterior_mean_coef1"][config["index"]]
    for name, (decode, aim, w) in losses.items():
        for repeat in config["repeats"]:
            x0, values = start, []
            for _ in range(repeat):
                values.append((w * (decode(x0) - aim).square()).mean())
                mean_slope = gradient(decode, x0, aim, w) * 2 / aim.numel()
                x0 = x0 - 3000 * config["scale"] * mean_slope / coefficient
            ours |= {f"{name}_r{repeat}": x0, f"{name}_r{repeat}_loss": torch.stack(values).mean()}
    x0, mean = start, inputs["mean_v1"]
    for _ in range(config["repeat_v1"]):
        pull = -config["scale_v1"] * gradient(lambda z: z, x0, _encode(target), torch.ones(1, 1, 8, 8)) * 2 / x0.numel()
        x0, mean = x0 + pull, mean + 0.5 * pull
    ours |= {"v1_pred_x0": x0, "v1_mean": mean}
    assert set(ours) == set(outputs)
    for key, value in outputs.items():
        close(ours[key], value, tolerance, key)


def colours(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Wavelet and statistics, the two published ways of keeping colours."""
    content, style = (shifted(meta["inputs"][key]) for key in ("content", "style"))
    low, fixed = low_band(content), wavelet(content, style)
    ours = {
        "high": content - low, "low": low, "wavelet": fixed, "adain": statistics(content, style),
        "wavelet_stats": torch.stack([fixed.mean(), fixed.std(), fixed.abs().max()]),
        "blur_r1": low_band(content, gaps=(1,)), "blur_r4": low_band(content, gaps=(4,)),
    }  # fmt: skip
    assert set(ours) == set(outputs)
    for key, value in outputs.items():
        close(ours[key], value, meta["tolerance"], key)


def sizes(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Bicubic with antialiasing to a short side or a size, zeros to a multiple, PIL's bicubic of 8-bit values."""
    x, config, ours = given(meta["inputs"]["x"]), meta["config"], {}
    for side in config["short_edges"]:
        ours[f"short{side}"] = grow_to_short_side(x, side)
    for multiple in config["multiples"]:  # the published padding is black; ours repeats the picture
        height, width = x.shape[-2:]
        ours[f"pad{multiple}"] = F.pad(x, (0, -width % multiple, 0, -height % multiple))
    for height, width in config["sizes"]:
        ours[f"to_{height}x{width}"] = resize(x, (height, width))
    for scale in config["pil_scales"]:
        height, width = (int(side * scale) for side in x.shape[-2:])
        eight = (x * 255).floor() / 255
        wide = _rounded(resize(eight, (x.shape[-2], width)))
        ours[f"pil_bicubic_{scale}"] = _rounded(resize(wide, (height, width)))[0].permute(1, 2, 0) * 255
    assert set(ours) == set(outputs)
    for key, value in outputs.items():
        tolerance = 1 if key.startswith("pil") else meta["tolerance"]  # one grey level: PIL counts in integers
        assert_close(ours[key], value.astype(np.float64), tolerance, key)


def _rounded(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round() / 255


RUNNERS = {
    "diffbir/schedule": schedule, "diffbir/sampler": trajectory, "diffbir/tiles": tiles, "diffbir/guidance": guidance,
    "diffbir/colour": colours, "diffbir/resize": sizes,
}  # fmt: skip
