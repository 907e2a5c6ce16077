"""The command line: python -m restore_core restore | evaluate | train | weights | info

Exit code 0, or 2 with one sentence on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from restore_core import __version__, devices, export, images, job
from restore_core.degradations import TASKS
from restore_core.engine import Frame
from restore_core.errors import RestoreError, SettingsError
from restore_core.evaluation import as_json, as_table, evaluate
from restore_core.film import FrameFolder
from restore_core.library import Library
from restore_core.methods import METHODS
from restore_core.samplers import GRID_LABELS, SAMPLERS

NUMBERS = ("steps", "eta", "variance", "noise", "strength", "seed", "samples", "tile", "overlap")
EXPERT = (*NUMBERS, "sampler", "spacing", "precision")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        asked = _parser().parse_args(arguments)
        return asked.run(asked) or 0
    except RestoreError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return _refuse("Stopped before the end; nothing was written. Run it again to start over.")
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; there is nobody to tell
        return 2


def _refuse(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 2


def _parser() -> Parser:
    parser = Parser(prog="python -m restore_core", description="Photo restoration by diffusion.")
    parser.add_argument("--version", action="version", version=f"stepback {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _add_restore(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_info(commands)
    return parser


# restore


def _add_restore(commands: Any) -> None:
    p = commands.add_parser("restore", help="restore one photo")
    p.add_argument("input", type=Path, help="the photo")
    p.add_argument("-o", "--output", type=Path, help="PNG, JPEG or WebP; default: INPUT-METHOD.png beside it")
    p.add_argument("--task", default="auto", help=f"auto, {', '.join(TASKS)}")
    p.add_argument("--method", default="auto", help=f"auto, {', '.join(METHODS)}")
    p.add_argument("--variant", help="one of the method's weights; default: the first for the task")
    p.add_argument("--preset", default="2", help="0 (most faithful) to 4 (most vivid)")
    _add_expert(p)
    p.add_argument("--frames", type=Path, metavar="DIR", help="write the film there: x_t/ and guess/, one JPEG a step")
    p.add_argument("--like", type=Path, metavar="FILE", help="repeat the run that made this result")
    p.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the best there is")
    p.add_argument("--max-pixels", default=images.MAX_PIXELS, help="largest photo that is opened")
    p.add_argument("--json", action="store_true", help="print one JSON object about the run")
    p.set_defaults(run=_restore)


def _add_expert(p: argparse.ArgumentParser) -> None:
    p.add_argument("--sampler", help=", ".join(SAMPLERS))
    p.add_argument("--spacing", "--grid", dest="spacing", help=f"time grid: {', '.join(GRID_LABELS)}")
    for name in NUMBERS:
        p.add_argument(f"--{name}", metavar="N")
    p.add_argument("--precision", help="float32, bfloat16, float16; default: what the device does best")


def _restore(asked: argparse.Namespace) -> int:
    library = Library(asked.device)
    photo = images.load(asked.input, max_pixels=_whole("--max-pixels", asked.max_pixels))
    work = _job(asked, photo, library)
    output = asked.output or asked.input.with_name(f"{asked.input.stem}-{work.settings.method}.png")
    export.check_writable(output)
    films = [FrameFolder(asked.frames / kind) for kind in ("x_t", "guess")] if asked.frames else []
    last: Frame | None = None
    for last in _with_bar(job.run(work, library)):
        for film, picture in zip(films, ("image", "estimate"), strict=False):
            film.add(last.index, getattr(last, picture))
    assert last is not None
    record = work.record(library, last)
    notes = export.save(last.result, output, like=photo, settings=record)
    if asked.json:
        print(json.dumps(record | {"output": str(output), "size": list(last.result.shape[-2:])}))
    else:
        for sentence in filter(None, (*photo.notes, work.reason, *notes)):
            print(sentence, file=sys.stderr)
        print(f"{output}: {last.calls} network calls in {last.seconds:.1f} s", file=sys.stderr)
    return 0


def _job(asked: argparse.Namespace, photo: images.Photo, library: Library) -> job.Job:
    changes = {key: getattr(asked, key) for key in EXPERT if getattr(asked, key) is not None}
    if asked.like is None:
        preset = _whole("--preset", asked.preset)
        changes["variant"] = asked.variant
        return job.plan(photo, library, task=asked.task, method=asked.method, preset=preset, **changes)
    if changes or asked.task != "auto" or asked.method != "auto" or asked.preset != "2" or asked.variant:
        raise SettingsError(
            "--like repeats a run with all its settings, so others cannot be given beside it. Leave out either."
        )
    return job.again(photo, export.read_settings(asked.like))


def _with_bar(frames: Iterator[Frame]) -> Iterator[Frame]:
    with tqdm(unit="step", disable=None, leave=False, file=sys.stderr) as bar:
        for frame in frames:
            bar.total = frame.total
            bar.update(frame.index + 1 - bar.n)
            yield frame


def _whole(name: str, text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise SettingsError(f"{name} is '{text}', and only whole numbers work there. Choose one.") from None


# evaluate


def _add_evaluate(commands: Any) -> None:
    p = commands.add_parser("evaluate", help="measure a task's weights on a folder of clean photos")
    p.add_argument("folder", type=Path)
    p.add_argument("--task", required=True, help=", ".join(TASKS))
    p.add_argument("--method", action="append", help=f"repeatable; default: {', '.join(METHODS)}")
    p.add_argument("--mean-of", default="8", help="also the mean of so many samples; 0: not")
    p.add_argument("--damage", action="append", default=[], metavar="NAME=NUMBER", help="e.g. sigma=25, noise=0")
    p.add_argument("--limit", help="only the first so many pictures")
    _add_expert(p)
    p.add_argument("--device")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON too")
    p.set_defaults(run=_evaluate)


def _evaluate(asked: argparse.Namespace) -> int:
    changes = {key: getattr(asked, key) for key in EXPERT if getattr(asked, key) is not None}
    library = Library(asked.device)
    tables = evaluate(
        asked.folder, asked.task, asked.method or list(METHODS), library,
        mean_of=_whole("--mean-of", asked.mean_of), damage=dict(_pair(text) for text in asked.damage),
        limit=None if asked.limit is None else _whole("--limit", asked.limit), changes=changes,
    )  # fmt: skip
    *_, scores = tqdm(tables, unit="picture", disable=None, leave=False)
    print(as_table(scores))
    if asked.json:
        export.write_whole(asked.json, json.dumps(as_json(scores), indent=1).encode())
    return 0


def _pair(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise SettingsError(f"--damage '{text}' is not NAME=NUMBER. Write sigma=25, for example.") from None


# train


def _add_train(commands: Any) -> None:
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
    numbers = {name: _whole(f"--{name}", getattr(asked, name)) for name in ("updates", "batch", "crop", "seed")}
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


# info


def _add_info(commands: Any) -> None:
    p = commands.add_parser("info", help="versions, device and weights, for a bug report")
    p.add_argument("--device")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=_info)


def _info(asked: argparse.Namespace) -> int:
    library = Library(asked.device)
    found = {
        "stepback": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": devices.describe(library.device),
        "precision": library.precision,
        "packages": {name: _version(name) for name in ("torch", "gradio", "numpy", "pillow", "safetensors")},
        "weights": {
            f"{key}/{variant.key}": "here" if library.has(key, variant.key) else "not here"
            for key, method in METHODS.items()
            for variant in method.card.variants
        },
    }
    if asked.json:
        print(json.dumps(found))
        return 0
    for key, value in found.items():
        print(f"{key}: {value}" if not isinstance(value, dict) else f"{key}:")
        for name, detail in value.items() if isinstance(value, dict) else ():
            print(f"  {name}: {detail}")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


__all__ = ["main"]
