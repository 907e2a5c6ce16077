"""The command `train`: any of the methods, on a folder of photos."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import devices
from restore_core.commands import options
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError

METHODS = ("compact", "dvsr", "sr3", "resshift", "irsde", "diffbir")
LOSSES = {
    "sr3, dvsr": "l1, l2", "irsde": "likelihood, noise", "resshift": "unweighted, weighted", "diffbir": "eps, v",
}  # fmt: skip


def add_parser(commands: Any) -> None:
    p = commands.add_parser("train", help="train a method's networks on a folder of photos")
    p.add_argument("--method", default="compact", help=f"{', '.join(METHODS)}; default: compact, for every process")
    p.add_argument("--task", required=True, help=", ".join(TASKS))
    p.add_argument("--data", type=Path, required=True, help="folder of clean photos")
    options.add_output(p, "state, log and weights; an old state there is resumed", metavar="DIR", required=True)
    p.add_argument("--init", type=Path, help="safetensors to begin with")
    for name, default in (("updates", 20000), ("batch", 16), ("crop", 96), ("seed", 0)):
        p.add_argument(f"--{name}", default=default, help=f"default {default}")
    p.add_argument("--rate", default=0, help="peak learning rate; default: what suits the method")
    p.add_argument("--loss", default="", help="; ".join(f"{m}: {names}" for m, names in LOSSES.items()))
    p.add_argument("--lpips", default=0, help="weight of an LPIPS term on what is found (compact, dvsr, resshift)")
    p.add_argument("--width", default=0, help="channels of the finest level (sr3, resshift, irsde)")
    p.add_argument("--noise", default=0, help="kappa of resshift, lambda of irsde in grey levels")
    p.add_argument("--autoencoder", default="", help="train in the latents of this file (resshift, irsde)")
    p.add_argument("--base", default="", help="file of Stable Diffusion 2.1, which a control branch steers (diffbir)")
    p.add_argument("--cleaner", default="", help="compact weights for the stage before (diffbir)")
    p.add_argument("--only", default="", help="predictor or denoiser: the other stays as --init has it (compact)")
    p.add_argument("--precision", help="float32 or bfloat16; default: what the device does best")
    p.add_argument("--device")
    p.set_defaults(run=_train)


def _train(asked: argparse.Namespace) -> int:
    from restore_core.training import data, delivery, loop, survey

    device = devices.choose(asked.device)
    plan = _plan(asked, device)
    photos = data.read_folder(asked.data, loop.smallest(plan))
    print(f"{asked.method}, {asked.task}: {plan.batch} crops of {plan.crop} px on {devices.describe(device)}")
    print(f"{data.describe(photos)}; {survey.survey(plan, device).sentence(plan)}")
    with tqdm(total=plan.updates, unit="update", disable=None) as bar:
        for p in loop.train(plan, photos, asked.output, device=device, init=asked.init):
            bar.update(p.update - bar.n)
            bar.set_postfix({name: f"{loss:.4f}" for name, loss in p.losses.items()})
            if p.psnr is not None:
                bar.write(f"{p.update}: held-out photos {p.psnr:.2f} dB, their input {p.psnr_input:.2f} dB")
    weights = asked.output / f"{asked.task}.safetensors"
    facts = delivery.export(asked.output / "state.pt", weights)
    about = delivery.card(facts, asked.output / "log.jsonl", f"the photographs in {asked.data.name}", _command(asked))
    weights.with_suffix(".md").write_text(about)
    print(f"{weights}: the averaged weights; {weights.with_suffix('.md').name}: their card; curve.svg: the losses")
    return 0


def _plan(asked: argparse.Namespace, device: Any) -> Any:
    from restore_core.training import loop

    whole = {name: options.whole(f"--{name}", getattr(asked, name)) for name in ("updates", "batch", "crop", "seed")}
    choices = loop.Choices(
        asked.loss, _number("--lpips", asked.lpips), options.whole("--width", asked.width),
        _number("--noise", asked.noise), asked.autoencoder, asked.base, asked.cleaner, only=asked.only,
    )  # fmt: skip
    precision = asked.precision or devices.choose_precision(device)
    return loop.Plan(
        asked.task, rate=_number("--rate", asked.rate), bf16=precision == "bfloat16", method=asked.method,
        choices=choices, **whole,
    )  # fmt: skip


def _number(name: str, text: object) -> float:
    try:
        number = float(str(text))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise SettingsError(f"{name} is '{text}', and only numbers from 0 upwards work there. Choose one.")
    return number


def _command(asked: argparse.Namespace) -> str:
    """The command again, with the folders' names in place of their places."""
    told = {"method": asked.method, "task": asked.task, "data": asked.data.name, "out": asked.output.name}
    told |= {"init": asked.init and asked.init.name, "only": asked.only}
    told |= {k: getattr(asked, k) for k in ("updates", "batch", "crop", "rate", "loss", "lpips", "width", "noise")}
    words = [f"--{key} {shlex.quote(str(value))}" for key, value in told.items() if value not in (0, "", None)]
    return "python -m restore_core train " + " ".join(words)


__all__ = ["add_parser"]
