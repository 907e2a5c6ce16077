"""What is no picture for this program, and the sentence that says so: what was found, and what to do.

A file is judged by its first bytes and by what its header says, before a pixel is decoded.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from restore_core.errors import ImageError

READABLE = "JPEG, PNG, WebP, TIFF, BMP and GIF"

_DAMAGED = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")

_HEIC = "a HEIC photo", "Export it as JPEG or PNG (an iPhone does so with Formats set to Most Compatible)."
_RAW = "a camera raw file", "Develop it in the camera's program and save it as 16-bit TIFF or as JPEG."
_OTHER = "a kind of picture that this program does not know", "Save it as PNG or JPEG."
_PAGE = "a document", "Export the picture in it as PNG or JPEG."
_VIDEO = "a video", "Save one frame of it as PNG."
_TEXT = "text", "Choose a picture."
_FOREIGN = (  # offset, signature, kind; the general ftyp stands after its special cases
    *((4, b"ftyp" + brand, _HEIC) for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    (4, b"ftypavi", _OTHER),
    (4, b"ftypcrx", _RAW),
    (4, b"ftyp", _VIDEO),
    (8, b"CR\x02", _RAW),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    *((0, magic, _RAW) for magic in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")),
    *((0, magic, _OTHER) for magic in (b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"8BPS", b"qoif")),
    (0, b"%PDF", _PAGE),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
)
_RAW_SUFFIXES = frozenset(".dng .nef .nrw .arw .sr2 .pef .cr2 .3fr .erf .kdc .mos .iiq".split())


def refuse_foreign(name: str, head: bytes) -> None:
    """ImageError unless the first bytes may begin a picture that is read here."""
    if not head:
        raise ImageError(f"{name} is empty (0 bytes): it was perhaps not copied to the end. Copy it again.")
    kind = next((k for at, magic, k in _FOREIGN if head[at:].startswith(magic)), None)
    if kind is None and _is_text(head):
        kind = _TEXT
    if kind is not None:
        what, advice = kind
        raise ImageError(f"{name} holds {what}, and this program reads {READABLE}. {advice}")


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def refuse_unfit(name: str, picture: Image.Image) -> None:
    """ImageError for an opened picture without pixels, without a white, or with a camera's raw data."""
    if min(picture.size) < 1:
        raise ImageError(
            f"{name} says it is {picture.width} × {picture.height} pixels: there is nothing to restore."
        )
    if picture.mode in ("F", "I"):
        raise ImageError(
            f"{name} holds measured values (mode {picture.mode}) without a known white, so its brightness is not "
            f"defined. Save it with 8 or 16 bits a channel."
        )
    if picture.format == "TIFF":
        tags = picture.tag_v2
        preview = 330 in tags and tags.get(254, 0) & 1  # a small picture in front of the sensor's data
        if 50706 in tags or preview or Path(name).suffix.lower() in _RAW_SUFFIXES:
            raise ImageError(f"{name} holds {_RAW[0]}, and this program reads {READABLE}. {_RAW[1]}")


def refuse_large(name: str, size: tuple[int, int], max_pixels: int) -> None:
    """ImageError above max_pixels; never more than twice Pillow's own warning limit, whatever is asked."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)
    height, width = size
    pixels, limit = height * width, min(max_pixels, most)
    if pixels <= limit:
        return
    also = (
        f", or run python -m restore_core restore PHOTO --max-pixels {pixels}, which does it whole, and with --smaller "
        f"beside that as a smaller copy"
    )
    raise ImageError(
        f"{name} is {width} × {height}, {pixels / 1e6:.1f} million pixels, and at most {limit / 1e6:g} million fit. "
        f"Save a smaller copy or crop it first{also if pixels <= most else ''}."
    )


def why_unreadable(name: str, head: bytes, error: Exception) -> str:
    """The sentence for whatever a decoder raised."""
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        return (
            f"{name} claims more than {limit:.0f} million pixels, which no memory holds. Save a smaller copy."
        )
    if isinstance(error, MemoryError):
        return f"{name} does not fit into this computer's memory. Save a smaller copy."
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return f"{name} ends too early: a part of the picture is missing. Copy or download it again."
    if isinstance(error, UnidentifiedImageError) and not head.startswith(_DAMAGED):
        return f"{name} is not a picture this program can read: it reads {READABLE}. Save it as PNG or JPEG."
    return f"{name} is damaged and cannot be decoded. Copy it again, or open it elsewhere and save it as PNG."
