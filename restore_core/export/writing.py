"""Files appear whole under their name or not at all; what the system refuses is told in a sentence."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from restore_core.errors import ImageError


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all: a temporary file in the same folder, then renamed onto path."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ImageError(cannot_write(path, error, len(data))) from error


def append_line(path: Path, line: str) -> None:
    """One line more at the end of a journal, on the disk when this returns; a last line that was cut short is ended."""
    try:
        with path.open("ab+") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ImageError(cannot_write(path, error, len(line))) from error


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def make_folder(folder: Path) -> None:
    """ImageError unless the folder is there, or can be made, and files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(cannot_write(folder, error)) from error
    check_folder_of(folder / "probe")


def cannot_write(path: Path, error: OSError, length: int = 0) -> str:
    """The sentence for a file of so many bytes that the system refused to write."""
    folder = path.parent.name or "it"
    reasons = {
        errno.ENOENT: f"the folder {folder} does not exist. Make it, or choose another",
        errno.ENOTDIR: f"{folder} is a file, not a folder. Choose another folder",
        errno.EEXIST: "a file of that name is in the way. Choose another name",
        errno.EISDIR: "a folder of that name is in the way. Choose another name",
        errno.EACCES: f"writing into the folder {folder} is not allowed. Choose another",
        errno.EPERM: f"writing into the folder {folder} is not allowed. Choose another",
        errno.EROFS: f"the disk of the folder {folder} is read-only. Choose another",
        errno.ENOSPC: f"the disk is full, and {length / 1e6:.1f} MB are needed. Free some space",
        errno.EDQUOT: f"your share of the disk is used up, and {length / 1e6:.1f} MB are needed. Free some space",
        errno.ENAMETOOLONG: "its name is too long. Choose a shorter one",
    }
    reason = reasons.get(error.errno, f"{error.strerror or error}. Choose another folder")
    return f"{path.name} cannot be written: {reason}."


def check_folder_of(path: str | os.PathLike[str]) -> None:
    """ImageError if no file could be written there: told before a long run, not after it."""
    path = Path(path)
    probe = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ImageError(cannot_write(path, error)) from error


def save_json(data: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Named fields as JSON that people can read."""
    write_whole(Path(path), (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())
