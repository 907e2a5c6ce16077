"""A large photo from file to file: what a pixel costs in resident memory, measured by the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.large import STAGES, made

ROOT = Path(__file__).parents[1]
WHOLE = 12  # bytes of a pixel in float32
STUBBED = """
import sys
from benchmarks.large import child
from restore_core.networks.compact_unet import CompactModel
CompactModel.denoise = lambda self, r, a, s, g, y, power=None: r * 1.0  # activations are not a matter of this test
CompactModel.predict = lambda self, y, power=None: y * 1.0
child(sys.argv[1:])
"""


def peaks(folder: Path, megapixels: float, suffix: str, *more: str) -> tuple[int, dict[str, int]]:
    """(pixels, most resident bytes in each stage) of `restore` as the command line runs it."""
    photo = folder / f"photo{suffix}"
    height, width = made(photo, megapixels)
    command = [
        sys.executable, "-c", STUBBED, str(photo), "-o", str(folder / f"result{suffix}"), "--steps", "2",
        "--film", str(folder / "film.gif"), *more,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return height * width, json.loads(done.stdout.splitlines()[-1])["peaks"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked for its peaks")
@pytest.mark.parametrize(
    ("suffix", "more", "most"),
    [
        (".png", ("--task", "denoise", "--method", "irsde"), 8.5),
        (".jpg", ("--task", "deblur", "--method", "dvsr"), 8.5),
        (".png", ("--task", "denoise", "--method", "irsde", "--samples", "2"), 10.5),
    ],
)
def test_a_pixel_costs_eight_whole_pictures_at_most(tmp_path: Path, suffix: str, more: tuple[str, ...], most: float):
    """Photo, input, prediction, x, its guess, its noise, the next x, fresh noise; mean and spread where they are."""
    (few, small), (many, large) = (peaks(tmp_path, size, suffix, *more) for size in (2.0, 6.0))
    begun = large["start"] - small["start"]  # of libraries, the kernel counts now more, now fewer pages
    costs = {stage: (large[stage] - small[stage] - begun) / (many - few) / WHOLE for stage in STAGES if stage in small}
    assert costs["read"] < 3 and costs["write"] < most - 1, costs
    assert max(costs.values()) < most, costs
