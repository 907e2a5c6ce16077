"""Films of a restoration: numbered pictures, one GIF, one MP4, or everything in a zip.

A frame is (H, W, 3) uint8.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from torch import Tensor

from restore_core.errors import ImageError
from restore_core.export.pictures import kind_of, save
from restore_core.export.writing import check_folder_of, make_folder, write_whole

LENGTH = 4.0  # seconds that a film aims at, without the hold
FASTEST, SLOWEST = 0.04, 0.2  # seconds a frame
HOLD = 1.5  # seconds more on the last frame
SAME_TIME = (1980, 1, 1, 0, 0, 0)  # in a zip: the same frames give the same bytes


class FrameFolder:
    """A film as numbered pictures: frame-00000.jpg and so on in a folder, which is made if need be."""

    def __init__(self, folder: str | os.PathLike[str], *, suffix: str = ".jpg", quality: int = 90) -> None:
        self.folder = Path(folder)
        self.suffix = suffix
        self.quality = quality
        kind_of(Path(f"frame{suffix}"))
        make_folder(self.folder)

    def add(self, index: int, image: Tensor) -> Path:
        """Write one frame (1, 3, H, W) in [0, 1]; the same index again replaces it."""
        path = self.folder / f"frame-{index:05d}{self.suffix}"
        save(image, path, quality=self.quality)
        return path


def beside(pictures: Sequence[np.ndarray], gap: int = 6) -> np.ndarray:
    """(H, W, 3) pictures of one height in a row, a white gap between them."""
    if len(pictures) == 1:
        return pictures[0]
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (white, picture)]
    return np.concatenate(parts[1:], axis=1)


def pace(frames: int) -> float:
    """Seconds a frame, so that a film of so many lasts about LENGTH."""
    return min(SLOWEST, max(FASTEST, LENGTH / max(1, frames)))


def save_gif(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    hold: float = HOLD,
) -> None:
    """An endless GIF: `seconds` a frame, and `hold` more on the last one."""
    path = _named(path, ".gif")
    pictures = [_with_palette(frame) for frame in _of_one_size(frames)]
    durations = [max(20, round(1000 * (seconds or pace(len(pictures)))))] * len(pictures)
    durations[-1] += round(hold * 1000)
    buffer = io.BytesIO()
    first, rest = pictures[0], pictures[1:]
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    write_whole(path, buffer.getvalue())


def _with_palette(pixels: np.ndarray) -> Image.Image:
    """256 colours of its own for every frame, dithered, since early frames are noise and late ones smooth."""
    picture = Image.fromarray(pixels)
    palette = picture.quantize(256, method=Image.Quantize.FASTOCTREE)  # 40 times as fast as the median cut
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def save_mp4(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    hold: float = HOLD,
) -> None:
    """H.264 as every browser and phone plays it: 4:2:0, BT.709, even sides, ready to be streamed."""
    path, av, pictures = _named(path, ".mp4"), pyav(), [_even(frame) for frame in _of_one_size(frames)]
    each = seconds or pace(len(pictures))
    pictures += [pictures[-1]] * round(hold / each)
    with tempfile.TemporaryDirectory() as folder:  # the index is moved to the front, which no memory file allows
        part = Path(folder) / "film.mp4"
        _encode(av, pictures, part, Fraction(1 / each).limit_denominator(1000))
        write_whole(path, part.read_bytes())


def _encode(av: ModuleType, pictures: Sequence[np.ndarray], path: Path, rate: Fraction) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "medium"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709 (H.273, tables 2 to 4)
        context.color_range = 1  # 16 to 235
        for pixels in pictures:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())


def pyav() -> ModuleType:
    """PyAV, which brings the encoder along; imported when a film is asked for, since it takes its time."""
    try:
        import av
    except ImportError as error:
        raise ImageError(
            "MP4 needs the package av, which is not installed here. Install it with: pip install av - or save the "
            "film as GIF."
        ) from error
    return av


def _even(pixels: np.ndarray) -> np.ndarray:
    """4:2:0 halves both sides: an odd one is given its last line once more."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


FILM_KINDS: Mapping[str, Callable[..., None]] = {".gif": save_gif, ".mp4": save_mp4}


def save_film(frames: Iterable[np.ndarray], path: str | os.PathLike[str]) -> None:
    """GIF or MP4, by the suffix of path."""
    FILM_KINDS[_film_suffix(path)](frames, path)


def check_film(path: str | os.PathLike[str]) -> None:
    """ImageError if `save_film` could not write there: told before a long run, not after it."""
    if _film_suffix(path) == ".mp4":
        pyav()
    check_folder_of(path)


def _film_suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_KINDS:
        raise ImageError(
            f"{Path(path).name} ends in {suffix or 'nothing'}, and films are written as GIF or MP4. "
            f"Name it .gif or .mp4."
        )
    return suffix


def save_zip(files: Mapping[str, bytes], path: str | os.PathLike[str]) -> None:
    """Named files in one, not pressed again: pictures are already."""
    if not files:
        raise ImageError("There are no frames, so there is nothing to put into a zip. Run a restoration first.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, SAME_TIME), data)
    write_whole(Path(path), buffer.getvalue())


def _named(path: str | os.PathLike[str], suffix: str) -> Path:
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ImageError(f"{path.name} does not end in {suffix}, as this film must. Name it {path.stem}{suffix}.")
    return path


def _of_one_size(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
    pictures = list(frames)
    if not pictures:
        raise ImageError("There are no frames, so there is no film to write. Run a restoration first.")
    if len({picture.shape for picture in pictures}) > 1:
        raise ImageError("The frames differ in size, and a film has one size. Collect the frames of one run.")
    return pictures
