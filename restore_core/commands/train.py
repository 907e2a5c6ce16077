"""The command `train`: the compact networks, on a folder of photos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restore_core import devices
from restore_core.commands import options
from restore_core.degradations import TASKS


def add_parser(commands: Any) -> None:
    p = commands.add_parser("train", help="train the compact networks on a folder of photos")
    p.add_argument("--task", required=True, help=", ".join(TASKS))
    p.add_argument("--data", type=Path, required=True, help="folder of clean photos")
    p.add_argument("--out", type=Path, required=True, help="state, log and weights; an old state there is resumed")
    p.add_argument("--init", type=Path, help="safetensors to begin with")
    for name, default in (("updates", 20000), ("batch", 16), ("crop", 96), ("seed", 0)):
        p.add_argument(f"--{name}", default=default, help=f"default {default}")
    p.add_argument("--rate", default=6e-4, help="peak learning rate")
    p.add_argument("--precision", help="float32 or bfloat16; default: what the device does best")
    p.add_argument("--device")
    p.set_defaults(run=_train)


def _train(asked: argparse.Namespace) -> int:
    from restore_core.training import loop

    device = devices.choose(asked.device)
    numbers = {name: options.whole(f"--{name}", getattr(asked, name)) for name in ("updates", "batch", "crop", "seed")}
    precision = asked.precision or devices.choose_precision(device)
    plan = loop.Plan(asked.task, rate=float(asked.rate), bf16=precision == "bfloat16", **numbers)
    loop.check(plan)
    print(f"{asked.task}: {plan.updates} updates of {plan.batch} x {plan.crop} px on {devices.describe(device)}")
    with tqdm(total=plan.updates, unit="update", disable=None) as bar:
        for p in loop.train(plan, asked.data, asked.out, device=device, init=asked.init):
            bar.update(p.update - bar.n)
            bar.set_postfix(predictor=f"{p.predictor:.4f}", denoiser=f"{p.denoiser:.3f}")
            if p.psnr is not None:
                bar.write(f"{p.update}: held-out photos {p.psnr:.2f} dB, their input {p.psnr_input:.2f} dB")
    weights = asked.out / f"{asked.task}.safetensors"
    loop.export(asked.out / "state.pt", weights)
    print(f"{weights}: the averaged weights")
    return 0


__all__ = ["add_parser"]
