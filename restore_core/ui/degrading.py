"""What the Degrade tab shows and makes: previews at once, the whole picture on request, calibrations."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from restore_core import export, images
from restore_core.degradations import DEGRADATIONS, Chain, Step
from restore_core.degradations.calibrate import Calibration, calibrate
from restore_core.degradations.frame_files import read_frames
from restore_core.degradations.realworld import RECIPES, draw
from restore_core.degradations.transfer_plot import plot
from restore_core.errors import SettingsError
from restore_core.metrics import psnr, ssim
from restore_core.ui.desk import Desk

SHOWN = 720  # px: of a larger photo the middle is shown, at its own scale
QUALITY = 93
RANDOM = "random:"  # begins the names of random chains among the starts

STARTS: Mapping[str, tuple[str, Chain]] = {
    "night": ("A night photo", Chain((Step("noise", {"iso": 12_800}),))),
    "shaken": ("Shaken, in dim light", Chain((Step("shake", {"length": 16}), Step("noise", {"iso": 3200})))),
    "focus": ("Out of focus", Chain((Step("defocus", {"radius": 4}), Step("gaussian", {"sigma": 2})))),
    "small": ("Four times smaller", Chain((Step("small", {"factor": 4, "back": False}),))),
    "web": (
        "Saved twice for the web",
        Chain((
            Step("small", {"factor": 1.5}), Step("jpeg", {"quality": 35}), Step("jpeg", {"quality": 25, "left": 3}),
        )),
    ),
    "rain": ("A rainy day", Chain((Step("rain"), Step("noise", {"iso": 800})))),
    "haze": ("A hazy day", Chain((Step("haze", {"beta": 1.2}), Step("noise", {"iso": 400})))),
    "print": (
        "An old print",
        Chain((
            Step("blur", {"sigma": 0.8}), Step("grain"), Step("fade"), Step("scratches"), Step("dust"),
            Step("jpeg", {"quality": 75}),
        )),
    ),
}  # fmt: skip
START = "night"


def starts() -> list[tuple[str, str]]:
    """(label, name) of what a chain may begin with."""
    own = [(label, key) for key, (label, _) in STARTS.items()]
    return own + [(f"Random: {r.label.lower()} ({r.source})", RANDOM + key) for key, r in RECIPES.items()]


def started(name: str, seed: int) -> Chain:
    """The chain called `name` with this seed; a random one is the seed-th of its kind."""
    if name.startswith(RANDOM):
        return draw(name.removeprefix(RANDOM), seed)
    if name not in STARTS:
        raise SettingsError(f"There is no start called '{name}'. Choose one of the list.")
    return Chain(STARTS[name][1].steps, seed)


def operators() -> list[dict[str, Any]]:
    """What the chain's editor needs to know of every operator."""
    return [
        {"key": d.key, "label": d.label, "group": d.group, "options": [_option(o) for o in d.options]}
        for d in DEGRADATIONS.values()
    ]


def _option(option: Any) -> dict[str, Any]:
    return {
        "key": option.key, "label": option.label, "default": option.default, "low": option.low, "high": option.high,
        "step": option.step, "choices": list(option.choices), "help": option.help,
    }  # fmt: skip


@dataclass(frozen=True)
class Preview:
    """What the page shows of a chain: pictures in the page's own addresses, and what was measured."""

    value: dict[str, Any]
    facts: list[tuple[str, str]]
    whole: bool


@lru_cache(maxsize=6)
def _looked_at(path: str, changed: float, max_pixels: int) -> tuple[Tensor, tuple[int, int], str]:
    """(what is shown of the photo, its whole size, the former as a URI)."""
    rgb = images.load(path, max_pixels=max_pixels).rgb
    size = tuple(rgb.shape[-2:])
    top, left = (max(0, (side - SHOWN) // 2) for side in size)
    part = rgb[..., top : top + SHOWN, left : left + SHOWN].clone()
    return part, size, export.data_uri(images.to_uint8(part), QUALITY)


def preview(path: str, chain: Chain, max_pixels: int, number: int = 0) -> Preview:
    """The chain on the photo, or on the middle of a large one."""
    clean, size, before = _looked_at(path, Path(path).stat().st_mtime, max_pixels)
    began = time.perf_counter()
    damaged = chain(clean)
    seconds = time.perf_counter() - began
    after = export.data_uri(images.to_uint8(damaged), QUALITY)
    value = {"before": before, "after": after, "width": clean.shape[-1], "number": number}
    whole = tuple(clean.shape[-2:]) == tuple(size)
    return Preview(value, _facts(clean, damaged, size, seconds, whole), whole)


def _facts(
    clean: Tensor, damaged: Tensor, size: tuple[int, int], seconds: float, whole: bool
) -> list[tuple[str, str]]:
    (h, w), back = damaged.shape[-2:], images.resize(damaged, tuple(clean.shape[-2:])).clamp(0, 1)
    ratio = psnr(back, clean).item()
    shown = f"{size[1]} × {size[0]}" + ("" if whole else f", the middle {clean.shape[-1]} × {clean.shape[-2]} shown")
    found = [("Size", shown), ("PSNR", f"{ratio:.2f} dB" if ratio < 100 else "unchanged")]
    if min(clean.shape[-2:]) >= 11:
        found.append(("SSIM", f"{ssim(back, clean).item():.3f}"))
    if (h, w) != tuple(clean.shape[-2:]):
        found.insert(1, ("Damaged", f"{w} × {h}"))
    return [*found, ("Time", f"{1000 * seconds:.0f} ms")]


@dataclass(frozen=True)
class Made:
    """The whole damaged picture, the clean one it is to be measured against, and the chain, as files."""

    damaged: Path
    clean: Path
    chain: Path
    told: str


def make(desk: Desk, session: str, path: str, chain: Chain) -> Made:
    """The chain on the whole photo. One that ends smaller begins with sides that divide, so that places agree."""
    photo = images.load(path, max_pixels=desk.max_pixels)
    clean, damaged = photo.rgb, chain(photo.rgb)
    run, truth = desk.store.open(session), Path(path)
    times = round(clean.shape[-2] / damaged.shape[-2])
    if times > 1 and any(side % times for side in clean.shape[-2:]):
        height, width = (max(times, side // times * times) for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
        damaged = chain(clean)
        truth = desk.store.keep_file(session, run, f"{photo.name}-clean.png", lambda p: export.save(clean, p))
    record = {"degradation": chain.to_json()}
    file = desk.store.keep_file(
        session, run, f"{photo.name}-damaged.png", lambda p: export.save(damaged, p, like=photo, settings=record)
    )
    text = json.dumps(chain.to_json(), indent=1).encode()
    kept = desk.store.keep_file(session, run, f"{photo.name}-chain.json", lambda p: export.write_whole(p, text))
    height, width = damaged.shape[-2:]
    return Made(file, truth, kept, f"Made: {width} × {height} pixels.")


def measured(files: Sequence[str], max_pixels: int) -> tuple[str, Chain]:
    """(plot and numbers as HTML, the noise as a chain) of a burst, flat fields, or one picture."""
    if not files:
        raise SettingsError("There are no pictures yet. Drop a burst of one scene, flat fields, or one picture.")
    found = calibrate(read_frames([Path(file) for file in files], max_pixels=max_pixels))
    return plot(found) + _numbers(found), found.simulated()


def _numbers(found: Calibration) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{line.k:.3g}<small>{_interval(line.k_interval)}</small></td>"
        f"<td>{line.sigma:.3g}<small>{_interval(line.sigma_interval)}</small></td><td>{line.electrons:,.0f}</td></tr>"
        for name, line in found.lines.items()
    )
    many = f"{found.frames} frames" if found.frames > 1 else "one frame"
    notes = "".join(f"<p class='note'>{html.escape(note)}</p>" for note in found.notes)
    return (
        f"<table><caption>{found.kind.capitalize()}, {many}; 95 % intervals; white is 1.</caption><thead><tr><td></td>"
        f"<th scope='col'>K, one electron</th><th scope='col'>sigma, reading</th><th scope='col'>electrons in white"
        f"</th></tr></thead><tbody>{rows}</tbody></table>{notes}"
    )


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3g} to {ends[1]:.3g}"


__all__ = ["START", "STARTS", "Made", "Preview", "make", "measured", "operators", "preview", "started", "starts"]
