"""Writing pictures: what is kept, what is left behind, and that a file appears whole or not at all."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms

from restore_core import export, images
from restore_core.errors import ImageError
from restore_core.export import pictures, writing
from restore_core.export.writing import append_line, make_folder

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SETTINGS = {
    "method": "dvsr",
    "steps": 15,
    "options": {"prompt": 'a "red" <hut> & größer', "eta": 0.5},
    "tile": None,
}


def result(height: int = 8, width: int = 12, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def smooth(height: int = 32, width: int = 48) -> torch.Tensor:
    down, across = torch.linspace(0, 1, height), torch.linspace(0, 1, width)
    return torch.stack(torch.broadcast_tensors(down[:, None], across, torch.tensor(0.5)))[None]


def photo(**changes: object) -> images.Photo:
    fields = {"rgb": result(4, 6), "alpha": None, "grey": False, "bits": 8, "icc": None, "exif": None}
    return images.Photo(**(fields | {"notes": (), "name": "p"} | changes))


def camera_data() -> bytes:
    """EXIF with a camera, a turn, a thumbnail, a place, a maker's note and the size before restoration."""
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    details = {
        ExifTags.Base.ExifImageWidth: 6,
        ExifTags.Base.ExifImageHeight: 4,
        ExifTags.Base.ISOSpeedRatings: 200,
    }
    exif.get_ifd(ExifTags.IFD.Exif).update(details | {ExifTags.Base.MakerNote: b"a secret preview"})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 8.0, 14.0)})
    return with_thumbnail(exif.tobytes(), b"a thumbnail")


def with_thumbnail(exif: bytes, thumbnail: bytes) -> bytes:
    """A second directory behind the first: Pillow reads one but writes none."""
    data = bytearray(exif.removeprefix(b"Exif\0\0"))
    start = len(data)
    entries = ((513, start + 30), (514, len(thumbnail)))
    directory = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in entries)
    first = 8 + 2 + 12 * struct.unpack_from(">H", data, 8)[0]
    data[first : first + 4] = struct.pack(">I", start)
    return b"Exif\0\0" + bytes(data) + struct.pack(">H", 2) + directory + bytes(4) + thumbnail


def exif_of(path: Path) -> Image.Exif:
    with Image.open(path) as picture:
        picture.load()
        exif = Image.Exif()
        exif.load(picture.info.get("exif", b""))
        return exif


# --- pixels ----------------------------------------------------------------------------------------------------


def test_png_holds_the_rounded_result(tmp_path: Path) -> None:
    image = result()
    assert export.save(image, tmp_path / "a.png") == ()
    assert torch.equal(images.load(tmp_path / "a.png").rgb, images.to_8bit(image))
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("with_alpha", [False, True])
def test_sixteen_bits_in_sixteen_bits_out(tmp_path: Path, with_alpha: bool) -> None:
    image = result()
    alpha = torch.rand(1, 1, 8, 12, generator=torch.Generator().manual_seed(1)) if with_alpha else None
    like = photo(bits=16, alpha=alpha, icc=SRGB, exif=camera_data())
    assert export.save(image, tmp_path / "a.png", like=like, settings=SETTINGS) == ()
    back = images.load(tmp_path / "a.png")
    assert back.bits == 16 and back.icc == SRGB and export.read_settings(tmp_path / "a.png") == SETTINGS
    assert (back.rgb - image).abs().max() <= 0.5001 / 65535
    if with_alpha:
        assert (back.alpha - alpha).abs().max() <= 0.5001 / 65535


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_where_sixteen_bits_become_eight_it_is_told(tmp_path: Path, name: str) -> None:
    (note,) = export.save(result(), tmp_path / name, like=photo(bits=16))
    assert "8 bits" in note and "PNG" in note
    assert export.save(result(), tmp_path / name, like=photo(bits=8)) == ()


def test_alpha_grows_with_the_result(tmp_path: Path) -> None:
    alpha = torch.zeros(1, 1, 4, 6)
    alpha[..., :3] = 1
    for name in ("a.png", "a.webp"):
        assert export.save(result(16, 24), tmp_path / name, like=photo(alpha=alpha)) == ()
        back = images.load(tmp_path / name).alpha
        assert back.shape == (1, 1, 16, 24) and back[..., 0].min() > 0.98 and back[..., 23].max() < 0.02


def test_jpeg_flattens_and_says_so(tmp_path: Path) -> None:
    notes = export.save(smooth(), tmp_path / "a.jpg", like=photo(alpha=torch.zeros(1, 1, 4, 6)))
    assert "transparency" in notes[0]
    assert images.load(tmp_path / "a.jpg").rgb.min() > 0.98


def test_jpeg_is_fine_and_keeps_full_colour(tmp_path: Path) -> None:
    export.save(smooth(), tmp_path / "a.JPG")
    with Image.open(tmp_path / "a.JPG") as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3  # 4:4:4
        assert picture.quantization[0][0] <= 2  # quality 95
    assert (images.load(tmp_path / "a.JPG").rgb - smooth()).abs().max() < 0.03


# --- metadata --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("keep_place", [False, True])
def test_profile_camera_and_settings_travel(tmp_path: Path, name: str, keep_place: bool) -> None:
    like = photo(icc=SRGB, exif=camera_data())
    path = tmp_path / name
    assert export.save(result(), path, like=like, settings=SETTINGS, keep_place=keep_place) == ()
    assert images.load(path).icc == SRGB
    assert images.load(path).size == (8, 12)  # not turned a second time
    assert export.read_settings(path) == SETTINGS == export.read_settings(path.read_bytes())
    assert not any(word in path.read_bytes() for word in (b"a thumbnail", b"a secret preview"))
    exif = exif_of(path)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[271] == "Maker" and 274 not in exif and not exif.get_ifd(ExifTags.IFD.IFD1)
    assert details[ExifTags.Base.ISOSpeedRatings] == 200 and ExifTags.Base.MakerNote not in details
    assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (12, 8)
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert (place.get(1) == "N") if keep_place else place == {}
    assert keep_place or ExifTags.IFD.GPSInfo not in exif


def test_settings_stand_in_a_text_chunk_that_others_can_read(tmp_path: Path) -> None:
    export.save(result(), tmp_path / "a.png", settings=SETTINGS)
    with Image.open(tmp_path / "a.png") as picture:
        assert json.loads(picture.text["stepback"]) == SETTINGS


@pytest.mark.parametrize(
    ("like", "settings"),
    [
        (photo(exif=b"Exif\0\0" + b"\xff" * 40), None),
        (photo(exif=b"nonsense"), None),
        (photo(icc=bytes(5_000_000)), None),
        (None, {"a": float("nan")}),
        (None, {"a": object()}),
        (None, {"a": "x" * 70_000}),
        (None, {"a": "<" * 30_000}),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_bad_metadata_cost_a_note_not_the_picture(
    tmp_path: Path, name: str, like: images.Photo | None, settings: dict | None
) -> None:
    notes = export.save(result(), tmp_path / name, like=like, settings=settings)
    assert len(notes) == 1 and notes[0].endswith(".")
    assert images.load(tmp_path / name).size == (8, 12)


def test_an_encoder_that_dislikes_metadata_gets_less_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Image.Image.save

    def picky(picture: Image.Image, file: object, kind: str, **options: object) -> None:
        if options.get("exif"):
            raise TypeError("no such tag")
        save(picture, file, kind, **options)

    monkeypatch.setattr(Image.Image, "save", picky)
    like = photo(icc=SRGB, exif=camera_data())
    notes = export.save(result(), tmp_path / "a.jpg", like=like, settings=SETTINGS)
    assert notes == ("The camera data could not be kept.",)
    back = images.load(tmp_path / "a.jpg")
    assert back.icc == SRGB and back.exif is None and export.read_settings(tmp_path / "a.jpg") == SETTINGS


def saved_text(path: Path, text: str) -> Path:
    chunks = pictures._png_chunk(b"iTXt", b"stepback\0\1\0\0\0" + zlib.compress(text.encode()))
    export.save(result(), path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunks + data[33:])
    return path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "damaged"),
        ("[1, 2]", "named fields"),
        ('{"a": NaN}', "damaged"),
        ("[" * 50_000, "damaged"),
        ('{"a": ' + "9" * 5000 + "}", "damaged"),
        ('{"a": "' + "x" * 100_000 + '"}', "characters of settings"),
        ('{"a": "' + "x" * 3_000_000 + '"}', "damaged"),  # Pillow's own limit for text
    ],
)
def test_settings_of_unknown_origin_are_refused(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ImageError, match=wanted):
        export.read_settings(saved_text(tmp_path / "a.png", text))


def test_pictures_without_settings(tmp_path: Path) -> None:
    export.save(result(), tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png holds no settings"):
        export.read_settings(tmp_path / "a.png")
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "JPEG", xmp=b"<x:xmpmeta/>")
    with pytest.raises(ImageError, match="holds no settings"):
        export.read_settings(buffer.getvalue())
    with pytest.raises(ImageError, match="There is no file"):
        export.read_settings(tmp_path / "b.png")


# --- refusing and writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tiff", "a", "a.png.exe", ".png"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=r"Name it \.png"):
        export.save(result(), tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_results_that_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="NaN"):
        export.save(result() * float("nan"), tmp_path / "a.png")
    with pytest.raises(ImageError, match="single RGB"):
        export.save(result()[0], tmp_path / "a.png")
    with pytest.raises(ImageError, match="16383 a side"):
        export.save(torch.zeros(1, 3, 1, 16_384), tmp_path / "a.webp")


def test_missing_folder_and_things_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="folder gone does not exist"):
        export.save(result(), tmp_path / "gone" / "a.png")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="file is a file"):
        export.save(result(), tmp_path / "file" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="in the way"):
        export.save(result(), tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == ["b.png", "file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ImageError, match="not allowed"):
        export.save(result(), tmp_path / "a.png")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "not allowed"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "cannot"),
    ],
)
def test_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, wanted: str
) -> None:
    path = tmp_path / "a.png"
    export.save(result(), path)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writing.os, "fsync", fail)
    with pytest.raises(ImageError, match=wanted) as refused:
        export.save(result(seed=1), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]
    assert str(tmp_path) not in str(refused.value)


def test_written_file_may_be_read_by_others(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    export.save(result(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- film ------------------------------------------------------------------------------------------------------


def test_a_line_more_in_a_journal_after_one_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for line in ("one", "two"):
        append_line(path, line)
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"one\ntw")
    append_line(path, "drei, \u00fc")
    assert path.read_text(encoding="utf-8") == "one\ntw\ndrei, \u00fc\n"
    with pytest.raises(ImageError, match="the folder gone does not exist"):
        append_line(tmp_path / "gone" / "journal.jsonl", "one")


def test_a_folder_is_made_or_it_is_told_why_not(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "one" / "two")
    assert list((tmp_path / "one" / "two").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="file is a file, not a folder"):
        make_folder(tmp_path / "file" / "folder")
    with pytest.raises(ImageError, match="in the way"):
        make_folder(tmp_path / "file")


def test_data_uri_is_a_jpeg() -> None:
    pixels = images.to_uint8(smooth())
    head, _, body = export.data_uri(pixels, quality=90).partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert abs(decoded.astype(int) - pixels).max() < 16
    assert len(export.encode_jpeg(pixels, 30)) < len(export.encode_jpeg(pixels, 95))
