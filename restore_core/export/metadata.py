"""What a result's file holds beside its pixels: profile, camera data, and the settings that made it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from restore_core.decoding import DESCRIPTIVE_TAGS, Source, opened, quiet
from restore_core.errors import ImageError
from restore_core.images import Photo

SETTINGS_KEY = "stepback"
MAX_SETTINGS = 60_000  # characters of JSON: one JPEG segment holds 65,502 bytes, escapes and envelope included
MAX_SEGMENT = 65_502
MAX_PROFILE = 4_000_000  # bytes; JPEG takes up to 16 MB, RGB profiles seldom have more than 0.1

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:stepback="urn:stepback:"><stepback:settings>{}</stepback:settings>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_XMP_SETTINGS = re.compile(rb"<stepback:settings>([^<]*)</stepback:settings>")


@dataclass(frozen=True)
class Metadata:
    """What is written beside the pixels; empty where there is none."""

    icc: bytes = b""
    exif: bytes = b""  # begins with Exif\0\0
    settings: str = ""  # JSON

    @property
    def xmp(self) -> bytes:
        return _XMP.format(html.escape(self.settings, quote=False)).encode() if self.settings else b""


def read_settings(source: Source) -> dict[str, Any]:
    """The settings that `save` stored in a picture, from its header alone."""
    with opened(source) as file:
        info = file.picture.info
        name = file.name
    text = info.get(SETTINGS_KEY) or _settings_in_xmp(info.get("xmp"))
    if not isinstance(text, str):
        raise ImageError(
            f"{name} holds no settings: it was not saved by this program, or another one has saved it since. "
            f"Choose a result as this program wrote it."
        )
    if len(text) > MAX_SETTINGS:
        raise ImageError(
            f"{name} holds {len(text)} characters of settings where at most {MAX_SETTINGS} are sensible: they are "
            f"not this program's. Choose another file."
        )
    return parse_settings(name, text)


def collect(
    size: tuple[int, int], like: Photo | None, settings: Mapping[str, Any] | None, keep_place: bool
) -> tuple[Metadata, tuple[str, ...]]:
    icc, exif, text, notes = b"", b"", "", ()
    if like is not None and like.icc:
        if len(like.icc) <= MAX_PROFILE:
            icc = like.icc
        else:
            notes += ("The colour profile is too large to be kept.",)
    if like is not None and like.exif:
        try:
            exif = clean_exif(like.exif, size, keep_place=keep_place)
        except Exception:  # camera data from anywhere; the picture is worth more
            notes += ("The camera data could not be kept.",)
    if settings is not None:
        try:
            text = json.dumps(settings, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            notes += ("The settings could not be written as JSON and were left out.",)
        if len(html.escape(text, quote=False)) > MAX_SETTINGS:
            text, notes = "", (*notes, "The settings are too long to be stored and were left out.")
    return Metadata(icc, exif, text), notes


def clean_exif(raw: bytes, size: tuple[int, int], *, keep_place: bool = False) -> bytes:
    """Camera data that hold for a result of this (height, width): built anew from what still applies.

    Left out: orientation and thumbnail (of the picture as it was), the maker's note (its offsets would point
    nowhere, and it often holds another preview), and the place unless asked for.
    """
    with quiet():
        old, new = Image.Exif(), Image.Exif()
        old.load(raw)
        for tag in DESCRIPTIVE_TAGS & set(old):
            new[tag] = old[tag]
        details = new.get_ifd(ExifTags.IFD.Exif)
        details.update(old.get_ifd(ExifTags.IFD.Exif))
        for tag in (ExifTags.Base.MakerNote, ExifTags.IFD.Interop):
            details.pop(tag, None)
        details[ExifTags.Base.ExifImageHeight], details[ExifTags.Base.ExifImageWidth] = size
        if keep_place and (place := old.get_ifd(ExifTags.IFD.GPSInfo)):
            new.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        packed = new.tobytes()
    if len(packed) > MAX_SEGMENT:
        raise ValueError(f"{len(packed)} bytes of camera data, and one segment holds {MAX_SEGMENT}")
    return packed


def _settings_in_xmp(xmp: bytes | None) -> str | None:
    found = _XMP_SETTINGS.search(xmp) if isinstance(xmp, bytes) else None
    return html.unescape(found[1].decode(errors="replace")) if found else None


def parse_settings(name: str, text: str) -> dict[str, Any]:
    """Named fields from the JSON in the file called `name`; ImageError for anything else."""

    def no_number(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        settings = json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"The settings in {name} are damaged: {error}. Choose another file.") from error
    if not isinstance(settings, dict):
        raise ImageError(
            f"The settings in {name} are a list or a value, not named fields. Choose another file."
        )
    return settings
