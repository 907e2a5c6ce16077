"""Weights files, opened without running anything in them.

What a file is, its bytes say, not its name. safetensors holds tensors and nothing else. A PyTorch file is a pickle, a
little program: it is run by torch's restricted reader, which knows tensors and plain containers, and refuses the rest.
Before that, the zip archive around it is checked: nothing compressed, no claim beyond its size, every part whole.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from restore_core.checkpoints.rounding import restored
from restore_core.checkpoints.stand_ins import instead_of
from restore_core.checkpoints.wrappers import peel
from restore_core.errors import CheckpointError

HEADER_LIMIT = 100 << 20  # safetensors' own limit, and far more than the pickle beside any network needs
_OWN = ("torch", "collections")  # what honest files name
_ARCHIVE = "a packed archive", "Unpack it and take the weights file inside."
_FOREIGN = (  # offset, signature, what it is, what to do
    (257, b"ustar", "a tar archive", "Unpack it and take the weights file inside."),
    *((0, magic, *_ARCHIVE)
      for magic in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")),
    (0, b"version https://git-lfs", "a pointer to a file kept elsewhere (git LFS)",
     "Get the file itself: git lfs pull, or download it from its page."),
    *((0, page, "a web page", "Its site perhaps asked for a click first: download it with a browser.")
      for page in (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML")),
    (0, b"\x89HDF", "a Keras or HDF5 file", "Choose the PyTorch or safetensors file of the weights."),
    (0, b"GGUF", "a GGUF file", "Choose the PyTorch or safetensors file of the weights."),
    *((0, magic, "a picture", "Choose a weights file.") for magic in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")),
)  # fmt: skip


def open_state(path: Path, inside: Sequence[str] = (), *, whole: bool = False) -> dict[str, Tensor]:
    """The tensors of a safetensors or PyTorch file, on the CPU, wrappers peeled; read from the disk when touched.

    What was rounded to 8 bits (checkpoints/rounding.py) comes as float32.

    inside   keys down to the state dict, where they cannot be guessed
    whole    its checksum was compared, so its parts need not be
    """
    return restored(_sound(path, peel(_read(path, whole), path.name, inside)), path.name)


def format_of(path: Path) -> str:
    """ "safetensors", "pytorch" (zip) or "pytorch-legacy"; CheckpointError names what it is instead."""
    if path.is_dir():
        raise CheckpointError(f"{path.name} is a folder, not a weights file. Choose the file inside it.")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}, so nothing can be read. Check the name.") from None
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be read ({error.strerror}). Check its permissions."
        ) from error
    if not head:
        raise CheckpointError(f"{path.name} is empty (0 bytes): it did not arrive. Get it again.")
    for at, magic, what, advice in _FOREIGN:
        if head[at:].startswith(magic):
            raise CheckpointError(f"{path.name} is {what}, so there are no weights to read in it. {advice}")
    if head.startswith(b"PK"):
        return "pytorch"
    if head[:1] == b"\x80":
        return "pytorch-legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= HEADER_LIMIT:
        return "safetensors"
    raise CheckpointError(
        f"{path.name} is neither a safetensors nor a PyTorch file, so no weights can be read from it. Check "
        "that it is the right file, or get it again."
    )


def metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for other files."""
    if format_of(path) != "safetensors":
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise _broken(path) from error


def check_archive(path: Path, *, whole: bool = False) -> None:
    """CheckpointError unless PyTorch wrote the zip: parts stored as they are, of their claimed sizes, undamaged."""
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
            _check_names(path, parts)
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise CheckpointError(
                    f"{path.name} claims to hold more than its own {path.stat().st_size:,} bytes, as no "
                    "weights file does. Get it from its authors."
                )
            damaged = [] if whole else [part.filename for part in parts if not _is_whole(archive, part)]
    except (BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:  # RuntimeError: marked as encrypted
        raise _broken(path) from error
    if damaged and len(damaged) < len(parts):  # all of them: written without check sums, which torch allows
        raise CheckpointError(
            f"{path.name} is damaged: {len(damaged)} of its {len(parts)} parts are not as they were written "
            f"(first: {damaged[0]}). Get it again."
        )


def _read(path: Path, whole: bool) -> Any:
    kind = format_of(path)
    if kind == "pytorch":
        check_archive(path, whole=whole)
    try:
        if kind == "safetensors":
            return load_file(path)
        return _restricted(path, kind)
    except pickle.UnpicklingError as error:
        raise _refused(path, kind, str(error)) from error
    except Exception as error:  # foreign bytes may raise anything
        raise _broken(path) from error


def _restricted(path: Path, kind: str) -> Any:
    """By torch's restricted reader; a second time where all that it minded may be idle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of storages without type, in files before PyTorch 1.6
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "pytorch")
        except pickle.UnpicklingError:
            with instead_of(_asked_for(path, kind)):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "pytorch")


def _broken(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is not a whole weights file: it ends early or was damaged on its way. Get it again."
    )


def _check_names(path: Path, parts: Sequence[ZipInfo]) -> None:
    names = [part.filename for part in parts]
    unfit = [n for n in names if ".." in PurePosixPath(n).parts or n.startswith("/") or "\\" in n]
    if unfit:
        raise CheckpointError(
            f"{path.name} names a part '{unfit[0]}', which leads out of the file: no weights file does so. "
            "Get it from its authors."
        )
    packed = [n for n in names if n.endswith((".pth", ".pt", ".ckpt", ".safetensors"))]
    if packed:
        raise CheckpointError(
            f"{path.name} is a zip archive around {packed[0]}. Unpack it and take that file."
        )
    if any(part.compress_type != ZIP_STORED for part in parts):
        raise CheckpointError(
            f"{path.name} is a compressed archive, and PyTorch never compresses: it was perhaps packed "
            "again. Unpack it, or get it from its authors."
        )
    if any(PurePosixPath(n).name == "constants.pkl" or "/code/" in n for n in names):
        raise CheckpointError(
            f"{path.name} is a TorchScript program, not weights alone, so it is not opened. Ask for its "
            "state dict."
        )
    pickles = [part for part in parts if PurePosixPath(part.filename).name == "data.pkl"]
    if len(pickles) != 1 or pickles[0].file_size > HEADER_LIMIT:
        raise CheckpointError(
            f"{path.name} is a zip archive that PyTorch did not write. Choose a weights file."
        )


def _is_whole(archive: ZipFile, part: ZipInfo) -> bool:
    try:
        with archive.open(part) as file:
            while file.read(1 << 20):
                pass
    except BadZipFile as error:
        if "CRC" in str(error):
            return False
        raise
    return True


def _refused(path: Path, kind: str, why: str) -> CheckpointError:
    """What torch's restricted reader would not do: run something, or read bytes that make no sense to it."""
    asked = _asked_for(path, kind)
    if "GLOBAL" in why or any(name.split(".")[0] not in _OWN for name in asked):
        return CheckpointError(
            f"{path.name} wants to run code when it is opened: it asks for {_told(asked) or 'a function'}. "
            "It was not opened. Ask for a safetensors file; or, where you trust it, save its state dict alone with "
            "PyTorch."
        )
    if "operand" in why:
        return CheckpointError(
            f"{path.name} is damaged, or was saved in a newer kind of pickle than is read here without running code, "
            "so it was not opened. Get it again, or ask for a safetensors file."
        )
    return _broken(path)


def _told(names: Sequence[str]) -> str:
    """The first three, each in a readable length."""
    return ", ".join(name if len(name) <= 80 else f"{name[:77]}..." for name in map(_plain, names[:3]))


def _plain(name: str) -> str:
    return ascii(name)[1:-1]


def _asked_for(path: Path, kind: str) -> list[str]:
    """Functions and classes that the pickle names, those outside of torch first."""
    try:
        if kind == "pytorch":
            with ZipFile(path) as archive:
                name = next(n for n in archive.namelist() if PurePosixPath(n).name == "data.pkl")
                stream = io.BytesIO(archive.read(name))
        else:
            with path.open("rb") as file:
                stream = io.BytesIO(file.read(HEADER_LIMIT))
        return sorted(_globals_in(stream), key=lambda name: name.split(".")[0] in _OWN)
    except (BadZipFile, OSError, StopIteration):
        return []


def _globals_in(stream: io.BytesIO) -> list[str]:
    names: dict[str, None] = {}
    said: list[str] = []
    try:
        while True:  # an old file is several pickles, one behind the other
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST"):
                    names[str(argument).replace(" ", ".")] = None
                elif code.name == "STACK_GLOBAL" and len(said) > 1:
                    names[".".join(said[-2:])] = None
                elif isinstance(argument, str):
                    said.append(argument)
    except Exception:  # the end, or bytes that are no pickle: what was found until there stands
        return list(names)


def _sound(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same; refused where a tensor claims to be larger than what is stored, or is no plain array."""
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise CheckpointError(
                f"{path.name}: '{name}' is sparse, quantised or complex, and the networks here take plain "
                "arrays only. Choose the float32 or float16 file."
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{path.name}: '{name}' claims {tensor.numel():,} numbers and stores fewer: no honest "
                "weights file does so. Get it from its authors."
            )
    return dict(state)
