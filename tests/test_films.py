"""Films, zips, contact sheets and reports: what stands in the files, and that no report asks for another one."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from restore_core import export, images
from restore_core.errors import ImageError
from restore_core.export import Cell, FrameFolder, Measured
from restore_core.export.films import pace
from restore_core.export.page import ticks


def smooth(height: int = 32, width: int = 48, level: float = 1.0) -> torch.Tensor:
    down, across = torch.linspace(0, 1, height), torch.linspace(0, 1, width)
    return level * torch.stack(torch.broadcast_tensors(down[:, None], across, torch.tensor(0.5)))[None]


def film(levels: tuple[float, ...] = (0.2, 0.6, 1.0), height: int = 20, width: int = 31) -> list[np.ndarray]:
    return [images.to_uint8(smooth(height, width, level)) for level in levels]


def test_frames_are_numbered(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "film" / "one", suffix=".png")
    paths = [folder.add(index, smooth(level=index / 11)) for index in (0, 2, 11)]
    assert [path.name for path in paths] == ["frame-00000.png", "frame-00002.png", "frame-00011.png"]
    assert torch.equal(images.load(paths[1]).rgb, images.to_8bit(smooth(level=2 / 11)))
    (tmp_path / "file").touch()
    with pytest.raises(ImageError):
        FrameFolder(tmp_path / "file" / "film")
    with pytest.raises(ImageError, match="Name it"):
        FrameFolder(tmp_path, suffix=".bmp")


def test_gif_shows_every_frame_in_order(tmp_path: Path) -> None:
    export.save_gif(film(), tmp_path / "film.gif", seconds=0.1, hold=1.0)
    with Image.open(tmp_path / "film.gif") as gif:
        frames = [np.asarray(frame.convert("RGB")).astype(float) for frame in ImageSequence.Iterator(gif)]
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0 and gif.size == (31, 20)
    assert durations == [100, 100, 1100]
    assert all(abs(a - b).mean() < 6 for a, b in zip(frames, film(), strict=True))


def test_mp4_shows_every_frame_in_its_colours(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    export.save_film(film(height=63, width=95), tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        shown = [f.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray() for f in container.decode(video=0)]
        seconds = float(stream.duration * stream.time_base)
    assert shown[0].shape == (64, 96, 3)
    assert seconds == pytest.approx(3 * 0.2 + 1.5, abs=0.2)
    for frame, wanted in zip(shown[:3], film(height=63, width=95), strict=True):
        assert abs(frame[:63, :95].astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_films_that_cannot_be(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ImageError, match="no frames"):
        export.save_film([], tmp_path / f"a{suffix}")
    with pytest.raises(ImageError, match="differ in size"):
        export.save_film([*film(), *film(height=9)], tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_films_of_other_kinds_are_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="GIF or MP4"):
        export.check_film(tmp_path / "film.avi")
    with pytest.raises(ImageError, match="does not exist"):
        export.check_film(tmp_path / "nowhere" / "film.gif")
    with pytest.raises(ImageError, match=r"a\.mp4"):
        export.save_mp4(film(), tmp_path / "a.gif")


def test_without_the_encoder_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match="pip install av - or save the film as GIF"):
        export.check_film(tmp_path / "film.mp4")


def test_a_zip_holds_the_same_bytes(tmp_path: Path) -> None:
    export.save_zip({"a.jpg": b"one", "b/c.jpg": b"two"}, tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None and {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.jpg": b"one", "b/c.jpg": b"two"}
    with pytest.raises(ImageError, match="no frames"):
        export.save_zip({}, tmp_path / "none.zip")


def test_a_sheet_shows_each_picture_whole() -> None:
    red, green = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60, 3), np.uint8)
    red[..., 0], green[..., 1] = 255, 255
    cells = [Cell(red, "A", "one\ntwo"), Cell(green, "B", "a long text that needs more than one line"), Cell(red, "C")]
    sheet = export.contact_sheet(cells, columns=2, title="A sheet", side=120)
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 2 * 120 * 80
    assert (sheet == (0, 255, 0)).all(axis=2).sum() == 120 * 80
    assert sheet.shape[1] == 24 + 120 + 16 + 120 + 24
    assert export.contact_sheet(cells[:1], columns=3, side=120).shape[1] == 24 + 120 + 24
    with pytest.raises(ImageError, match="no pictures"):
        export.contact_sheet([])


class Links(HTMLParser):
    """Everything that a page would fetch, its ids, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched, self.ids, self.inner, self.text, self.tags = [], [], [], "", []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith("#"):
                self.fetched.append(value)
            if name == "href" and value.startswith("#"):
                self.inner.append(value[1:])
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def jpeg() -> bytes:
    return export.encode_jpeg(film()[0])


def test_a_run_report_opens_offline_and_tells_its_settings() -> None:
    record = {"input": {"name": "<script>alert(1)</script>"}, "settings": {"steps": 20, "options": {"eta": 0.25}}}
    facts, moments = [("Time", "3.1 s")], [(jpeg(), f"Step {k}") for k in range(3)]
    page = Links(export.run_report(record, before=jpeg(), after=jpeg(), facts=facts, moments=moments))
    assert page.fetched and all(address.startswith("data:image/jpeg;base64,") for address in page.fetched)
    assert page.tags.count("script") == 1 and page.tags.count("img") == 5
    assert "<script>alert(1)</script>" in page.text and "3.1 s" in page.text and "0.25" in page.text
    first = Image.open(io.BytesIO(jpeg()))
    assert first.size == (31, 20)


def test_a_sweep_report_maps_its_points_to_their_pictures() -> None:
    axes = ("PSNR (dB)", "LPIPS")
    runs = [Measured(f"T = {t}", {axes[0]: 28.0 - t / 100, axes[1]: 0.3 - t / 1000}, jpeg(), "dvsr") for t in (10, 50)]
    runs.append(Measured("without a number", {axes[0]: None}))
    page = Links(export.runs_report("A sweep", runs, axes=axes))
    assert page.inner == ["run-0", "run-1"] and set(page.inner) <= set(page.ids)
    assert page.text.count("27.9") >= 1 and "without a number" in page.text


def test_a_map_leaves_out_what_is_no_number_and_gives_each_series_its_colour() -> None:
    axes = ("PSNR (dB)", "LPIPS")
    told = (("<b>one</b>", 0.3, "dvsr"), ("two", 0.2, "irsde"), ("three", float("inf"), "sr3"))
    runs = [Measured(name, {axes[0]: 28.0, axes[1]: y}, jpeg(), series) for name, y, series in told]
    text = export.runs_report("A sweep", runs, axes=axes)
    page = Links(text)
    assert page.inner == ["run-0", "run-1"] and "b" not in page.tags and "<b>one</b>" in page.text
    assert len(set(re.findall(r'<g fill="(#\w+)"', text))) == 2


@pytest.mark.parametrize(("frames", "seconds"), [(3, 0.2), (40, 0.1), (1000, 0.04)])
def test_a_film_lasts_about_four_seconds_and_no_frame_is_too_quick(frames: int, seconds: float) -> None:
    assert pace(frames) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([0.11, 0.48], [0.1, 0.2, 0.3, 0.4, 0.5]), ([27.0, 27.0], [25.0, 30.0]), ([-3, 8], [-5, 0, 5, 10])],
)
def test_ticks_are_round_and_enclose(values: list[float], wanted: list[float]) -> None:
    found = ticks(values)
    assert found[0] <= min(values) and found[-1] >= max(values) and found[0] < found[-1]
    assert 2 <= len(found) <= 12
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    if len(set(values)) > 1:
        assert found == wanted
