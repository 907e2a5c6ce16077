"""Reading pictures: every kind that people have, and every kind of file that is none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from restore_core import decoding, images
from restore_core.errors import ImageError

RNG = np.random.default_rng
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours(height: int = 6, width: int = 9, channels: int = 3, *, deep: bool = False) -> np.ndarray:
    high, kind = (65536, np.uint16) if deep else (256, np.uint8)
    return RNG(3).integers(0, high, (height, width, channels)).astype(kind)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG from its parts, for what no writer at hand makes; data are rows, each after its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)


def deep_tiff(pixels: np.ndarray, tags: dict[int, int] | None = None) -> bytes:
    """(H, W, 3) uint16 as a plain little-endian TIFF, with further SHORT tags."""
    height, width = pixels.shape[:2]
    entries = {256: width, 257: height, 259: 1, 262: 2, 273: 8, 277: 3, 278: height, 279: pixels.nbytes}
    entries |= tags or {}
    depths = struct.pack("<HHII", 258, 3, 3, 8 + pixels.nbytes)
    packed = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items()] + [depths]
    packed.sort(key=lambda entry: struct.unpack_from("<H", entry))
    directory = struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4)
    body = pixels.astype("<u2").tobytes() + struct.pack("<HHH", 16, 16, 16)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def profile(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile from its parts (ICC.1:2001-04, version 2)."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    words = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)
    tags = {b"desc": words, b"wtpt": b"XYZ " + bytes(4) + white} | tags
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", space, pcs)
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + table + body


def grey_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", b"XYZ ", {b"kTRC": curve})


def odd_cmyk_profile() -> bytes:
    """Inks that no printer has: whatever holds cyan is the red of L = 50, a = 60, b = 40, the rest is white."""
    white, red = bytes([255, 128, 128]), bytes([128, 188, 168])
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    straight = bytes(range(256))
    lut = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + straight * 4 + white * 8 + red * 8 + straight * 3
    )
    return profile(b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut})


GAMMA = b"curv" + bytes(4) + struct.pack(">IH", 1, int(1.8 * 256))
TABLE = (
    b"curv" + bytes(4) + struct.pack(">I", 33) + (np.linspace(0, 1, 33) ** 2 * 65535).astype(">u2").tobytes()
)
FIXED = [round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)]
PARAMETRIC = b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, *FIXED)


def pixels_of(photo: images.Photo, levels: int = 255) -> np.ndarray:
    return np.rint(photo.rgb[0].permute(1, 2, 0).numpy() * levels).astype(int)


# --- what is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_rgb_keeps_every_pixel(kind: str, tmp_path: Path) -> None:
    wanted = colours()
    path = tmp_path / "holiday.2.dat"  # the name does not matter
    path.write_bytes(encoded(wanted, kind))
    photo = images.load(path)
    assert (pixels_of(photo) == wanted).all()
    assert photo.rgb.dtype == torch.float32 and photo.rgb.shape == (1, 3, 6, 9) and photo.rgb.is_contiguous()
    assert (photo.name, photo.bits, photo.grey, photo.alpha, photo.icc) == ("holiday.2", 8, False, None, None)
    assert photo.notes == ()
    header = images.inspect(path)
    assert (header.size, header.format, header.bits) == ((6, 9), kind, 8)
    assert header.bytes == path.stat().st_size and header.pixels == 54


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_rgb_is_close(kind: str) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    wanted = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(128)), axis=2)
    assert abs(pixels_of(images.load(encoded(wanted, kind, quality=95))) - wanted.astype(int)).max() < 12


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_are_not_clipped(suffix: str, channels: int) -> None:
    wanted = colours(channels=channels, deep=True)
    order = [2, 1, 0, 3][:channels]
    photo = images.load(cv2.imencode(suffix, wanted[..., order])[1].tobytes())
    assert photo.bits == 16
    assert (pixels_of(photo, 65535) == wanted[..., :3]).all()
    if channels == 4:
        assert (np.rint(photo.alpha[0, 0].numpy() * 65535) == wanted[..., 3]).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_grey(suffix: str) -> None:
    wanted = colours(channels=1, deep=True)
    photo = images.load(cv2.imencode(suffix, wanted)[1].tobytes())
    assert photo.grey and photo.bits == 16
    assert (pixels_of(photo, 65535) == wanted).all()


def test_sixteen_bit_grey_with_alpha_and_with_a_transparent_value() -> None:
    wanted = colours(channels=2, deep=True)
    photo = images.load(png(9, 6, 16, 4, rows(wanted)))
    assert photo.grey and photo.bits == 16
    assert (pixels_of(photo, 65535) == wanted[..., :1]).all()
    assert (np.rint(photo.alpha[0, 0].numpy() * 65535) == wanted[..., 1]).all()
    grey = wanted[..., :1]
    keyed = images.load(png(9, 6, 16, 0, rows(grey), chunk(b"tRNS", grey[2, 3].astype(">u2").tobytes())))
    assert keyed.alpha[0, 0, 2, 3] == 0 and keyed.alpha.sum() == 53


def test_sixteen_bit_tiff_is_turned_upright_once() -> None:
    wanted = colours(deep=True)
    photo = images.load(deep_tiff(wanted, {274: 6}))
    assert photo.bits == 16
    assert (pixels_of(photo, 65535) == np.rot90(wanted, -1)).all()
    assert images.inspect(deep_tiff(wanted, {274: 6})).size == (9, 6)


def test_sixteen_bit_png_is_turned_upright() -> None:
    wanted = colours(deep=True)
    exif = Image.Exif()
    exif[274] = 8
    extra = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    photo = images.load(png(9, 6, 16, 2, rows(wanted), extra))
    assert (pixels_of(photo, 65535) == np.rot90(wanted)).all()


def test_deep_pixels_that_contradict_pillow_are_read_at_eight_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = colours(deep=True)
    data = cv2.imencode(".png", wanted)[1].tobytes()
    monkeypatch.setattr(decoding.cv2, "imdecode", lambda *_: wanted[::-1].copy())
    photo = images.load(data)
    assert (pixels_of(photo) == wanted[..., ::-1] >> 8).all()
    assert photo.bits == 8 and photo.notes == ("Only 8 of its bits a channel could be read.",)


def test_a_chunk_that_claims_gigabytes_never_reaches_cv2(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(cv2.imencode(".png", colours(deep=True))[1].tobytes())
    monkeypatch.setattr(decoding.cv2, "imdecode", lambda *_: pytest.fail("cv2 was asked"))
    data[33] = 0xC0  # the length of IDAT; Pillow takes what it needs and is content
    assert images.load(bytes(data)).bits == 8


def test_damaged_profile_of_deep_grey_costs_only_a_note() -> None:
    wanted = colours(channels=1, deep=True)
    for curve in (GAMMA[:9], b"para" + bytes(4) + b"\0\x09" + bytes(40), TABLE[:20]):
        icc = grey_profile(curve)
        icc = icc[: icc.index(curve) + len(curve)]
        photo = images.load(png(9, 6, 16, 0, rows(wanted), chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))))
        assert (pixels_of(photo, 65535) == wanted).all() and "profile" in photo.notes[0]


def test_alpha_is_kept_aside_and_dropped_when_opaque() -> None:
    wanted = colours(channels=4)
    photo = images.load(encoded(wanted))
    assert (pixels_of(photo) == wanted[..., :3]).all()
    assert (np.rint(photo.alpha[0, 0].numpy() * 255) == wanted[..., 3]).all()
    wanted[..., 3] = 255
    assert images.load(encoded(wanted)).alpha is None


def test_grey_with_alpha() -> None:
    wanted = colours(channels=2)
    photo = images.load(encoded(wanted))
    assert photo.grey and photo.icc is None
    assert (pixels_of(photo) == wanted[..., :1]).all()
    assert (np.rint(photo.alpha[0, 0].numpy() * 255) == wanted[..., 1]).all()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    picture = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    photo = images.load(encoded(picture, transparency=transparency))
    assert pixels_of(photo)[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    wanted = [255, 0, 255] if transparency == 1 else [255, 0, 128]
    assert np.rint(photo.alpha.flatten().numpy() * 255).tolist() == wanted


def test_black_and_white() -> None:
    photo = images.load(encoded(Image.fromarray(colours(channels=1)[..., 0] > 127)))
    assert photo.grey and set(photo.rgb.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(colours(), exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    photo = images.load(data)
    assert (pixels_of(photo) == wanted).all()
    assert images.inspect(data).size == photo.size == wanted.shape[:2]


def test_turned_jpeg_keeps_profile_and_camera_data() -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Maker"
    data = encoded(colours(8, 16), "JPEG", exif=exif, icc_profile=SRGB)
    photo = images.load(data)
    assert photo.size == (16, 8) and photo.icc == SRGB
    assert b"Maker" in photo.exif


def test_rgb_pixels_are_not_converted_by_their_profile() -> None:
    wanted = colours()
    assert (pixels_of(images.load(encoded(wanted, icc_profile=SRGB))) == wanted).all()


def test_profile_of_another_space_is_dropped() -> None:
    photo = images.load(encoded(colours(), icc_profile=grey_profile(GAMMA)))
    assert photo.icc is None and "profile" in photo.notes[0]
    assert (pixels_of(photo) == colours()).all()


def test_damaged_profile_of_a_grey_picture_costs_only_a_note() -> None:
    wanted = colours(channels=1)[..., 0]
    photo = images.load(encoded(wanted, icc_profile=b"\0" * 16 + b"GRAY" + b"\0" * 200))
    assert (pixels_of(photo)[..., 0] == wanted).all() and "profile" in photo.notes[0]


@pytest.mark.parametrize("curve", [GAMMA, TABLE, PARAMETRIC], ids=["gamma", "table", "parametric"])
def test_grey_goes_through_its_profile_at_both_depths(curve: bytes) -> None:
    icc = grey_profile(curve)
    ramp = np.arange(256)
    shallow = images.load(encoded(ramp.astype(np.uint8)[None], icc_profile=icc))
    deep_icc = chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))
    deep = images.load(png(256, 1, 16, 0, rows(ramp[None] * 257), deep_icc))
    assert shallow.icc is deep.icc is None and shallow.grey and deep.grey
    difference = (shallow.rgb - deep.rgb).abs() * 255
    assert difference.max() < 2 and difference.mean() < 0.35
    assert deep.rgb[0, 0, 0].diff().min() > 0  # no two of 256 levels fall together
    unchanged = (deep.rgb[0, 0, 0] * 255 - torch.arange(256)).abs().max()
    assert unchanged < 0.01 if curve == PARAMETRIC else unchanged > 5  # that one is sRGB's own curve


def cmyk(*inks: tuple[int, int, int, int]) -> Image.Image:
    """One 8 x 8 square of each ink, beside each other."""
    return Image.fromarray(np.array([inks], np.uint8).repeat(8, 0).repeat(8, 1), "CMYK")


def test_cmyk_without_profile_is_read_with_a_note() -> None:
    data = encoded(cmyk((0, 0, 0, 0), (0, 255, 255, 0)), "JPEG", quality=100, subsampling=0)
    photo = images.load(data)
    assert "profile" in photo.notes[0] and photo.icc is None
    white, red = pixels_of(photo)[4, 4], pixels_of(photo)[4, 12]
    assert white.min() > 250 and red[0] > 250 and red[1:].max() < 5


def test_cmyk_goes_through_its_profile() -> None:
    picture = cmyk((0, 0, 0, 0), (255, 0, 0, 0))
    photo = images.load(encoded(picture, "JPEG", quality=100, icc_profile=odd_cmyk_profile()))
    assert photo.icc is None and photo.notes == ()
    white, red = pixels_of(photo)[4, 4], pixels_of(photo)[4, 12]
    assert white.min() > 250
    assert abs(red - [208, 59, 54]).max() < 8  # sRGB of that Lab under D50


def test_lab_is_converted() -> None:
    lab = Image.merge("LAB", [Image.new("L", (2, 2), value) for value in (255, 128, 128)])
    assert pixels_of(images.load(encoded(lab, "TIFF"))).min() > 250


def test_first_frame_of_a_gif_and_a_note() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    photo = images.load(data)
    assert pixels_of(photo)[0, 0].tolist() == [255, 0, 0]
    assert photo.notes == images.inspect(data).notes == ("The first of 3 frames was taken.",)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    photo = images.load(encoded(np.full((*size, 3), 200, np.uint8)))
    assert photo.size == size and (pixels_of(photo) == 200).all()
    assert min(images.shrink_to(photo.rgb, 100).shape) == 1
    assert images.reduce_by(photo, 7.5).size == tuple(max(1, int(side / 7.5)) for side in size)


def test_tiff_keeps_only_descriptive_camera_data() -> None:
    exif = Image.Exif()
    exif[272] = "Scanner"
    photo = images.load(encoded(colours(), "TIFF", exif=exif))
    kept = Image.Exif()
    kept.load(photo.exif)
    assert kept[272] == "Scanner" and 273 not in kept and 256 not in kept


# --- what is refused -------------------------------------------------------------------------------------------

JPEG = encoded(colours(64, 64), "JPEG")
NOT_PICTURES = {
    "text": (b"Dear diary, today I renamed a file.\n" * 40, "text"),
    "text like a bitmap": (b"BMW is a maker of cars", "text"),
    "empty": (b"", "empty"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], "ends too early"),
    "cut PNG": (encoded(colours(64, 64))[:-3000], "ends too early"),
    "cut header": (encoded(colours())[:20], "ends too early"),
    "noise": (RNG(1).bytes(400), "not a picture"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "HEIC"),
    "Canon raw": (b"\0\0\0\x18ftypcrx \0\0\0\x01", "raw"),
    "Fuji raw": (b"FUJIFILMCCD-RAW 0201FF", "raw"),
    "DNG": (deep_tiff(colours(deep=True), {50706: 1}), "raw"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "document"),
    "floats": (encoded(Image.new("F", (3, 3)), "TIFF"), "known white"),
    "zero wide": (png(0, 3, 8, 2), "damaged"),
    "bomb": (png(8000, 7000, 8, 2), "56.0 million"),
    "bomb beyond Pillow's warning": (png(10_000, 10_000, 8, 2), "100.0 million"),
    "bomb beyond Pillow's error": (png(60_000, 60_000, 8, 2), "179 million"),
    "text bomb": (
        png(1, 1, 8, 2, b"\0\0\0\0", chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7)))),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", NOT_PICTURES)
def test_not_a_picture(case: str, tmp_path: Path) -> None:
    data, wanted = NOT_PICTURES[case]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(ImageError) as refused:
        images.load(path)
    sentence = str(refused.value)
    assert wanted in sentence and sentence.startswith("photo.png ") and sentence.endswith(".")
    assert str(tmp_path) not in sentence  # a server's folders are nobody's business


def test_raw_by_suffix_and_by_preview(tmp_path: Path) -> None:
    path = tmp_path / "shot.NEF"
    path.write_bytes(deep_tiff(colours(deep=True)))
    with pytest.raises(ImageError, match="raw file"):
        images.inspect(path)
    with pytest.raises(ImageError, match="raw file"):
        images.inspect(deep_tiff(colours(deep=True), {254: 1, 330: 8}))


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        images.load(tmp_path)
    with pytest.raises(ImageError, match=r"There is no file gone\.png"):
        images.inspect(tmp_path / "gone.png")


def test_inspect_decodes_nothing() -> None:
    header = images.inspect(png(8000, 7000, 8, 2))  # it holds no pixels at all
    assert header.size == (7000, 8000)
    assert images.inspect(JPEG[:1000]).size == (64, 64)


def test_limit_can_be_lowered_but_not_raised_beyond_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="at most 5e-05 million"):
        images.load(encoded(colours()), max_pixels=50)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    assert images.load(encoded(colours())).size == (6, 9)  # 54 pixels: between the warning and the error
    with pytest.raises(ImageError):
        images.load(encoded(colours(8, 9)), max_pixels=10**9)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_random_damage_is_read_or_refused(kind: str) -> None:
    whole = encoded(colours(24, 24), kind)
    rng = RNG(11)
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        data = bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            photo = images.load(data, max_pixels=1_000_000)
        except ImageError:
            continue
        assert photo.rgb.shape[1] == 3 and 0 <= photo.rgb.min() and photo.rgb.max() <= 1


# --- tensors ---------------------------------------------------------------------------------------------------


def test_to_uint8_rounds_clips_and_bears_nan() -> None:
    image = torch.tensor([-1.0, 0.5, 2.0, float("nan"), 0.25, 1.0]).reshape(1, 3, 1, 2)
    assert images.to_uint8(image).tolist() == [[[0, 255, 64], [128, 0, 255]]]
    assert (images.to_uint8(image[0]) == images.to_uint8(image)).all()


def test_shrink_to_keeps_the_mean_and_never_enlarges() -> None:
    image = torch.rand(1, 3, 60, 90, generator=torch.Generator().manual_seed(0))
    small = images.shrink_to(image, 30)
    assert small.shape == (1, 3, 20, 30)
    assert small.mean() == pytest.approx(float(image.mean()), abs=1e-6)
    assert images.shrink_to(image, 90) is image


def test_reduction_brings_a_photo_below_the_limit() -> None:
    photo = images.load(encoded(colours(50, 70, 4)))
    factor = images.reduction(photo.size, 1000)
    smaller = images.reduce_by(photo, factor)
    height, width = smaller.size
    assert 900 < height * width <= 1000 and smaller.alpha.shape[-2:] == smaller.size
    assert images.reduction(photo.size) == 1
    assert f"{width} × {height}" in smaller.notes[-1]
    with pytest.raises(ImageError):
        images.reduce_by(photo, 0.5)


def test_join_alpha_and_flatten() -> None:
    rgb, alpha = torch.full((1, 3, 8, 8), 0.2), torch.zeros(1, 1, 4, 4)
    alpha[..., :2] = 1
    rgba = images.join_alpha(rgb, alpha)
    assert rgba.shape == (1, 4, 8, 8) and 0 <= rgba.min() and rgba.max() <= 1
    seen = images.flatten(rgba)
    assert seen[..., 0].allclose(torch.tensor(0.2)) and seen[..., 7].allclose(torch.tensor(1.0))
