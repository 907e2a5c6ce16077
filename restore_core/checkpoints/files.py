"""Weights on disk: where they lie, whether their bytes are the published ones, how they are added and removed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import nn

from restore_core.checkpoints import checksums, diffusers_form, match, recognition
from restore_core.checkpoints.catalogue import CATALOGUE
from restore_core.checkpoints.diffusers_form import open_any as open_state
from restore_core.checkpoints.folders import folder, memory, mirrors
from restore_core.checkpoints.reading import format_of
from restore_core.checkpoints.recognition import naming
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import CheckpointError, NotDownloaded, WrongHash

Checksum = Literal["right", "wrong", "not compared yet", "none published", "converted here"]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a limit of size


def path_of(checkpoint: Checkpoint) -> Path:
    """Where the record's file lies in the weights folder, or would lie."""
    return folder() / checkpoint.file


def part_of(checkpoint: Checkpoint) -> Path:
    """Where a download gathers."""
    path = path_of(checkpoint)
    return path.with_name(f"{path.name}.part")


def locate(checkpoint: Checkpoint) -> Path:
    """The record's file on this machine, or NotDownloaded with the way to get it."""
    path = _found(checkpoint)
    if path is not None:
        return path
    raise NotDownloaded(
        f"The weights '{checkpoint.key}' are not on this machine: {Path(checkpoint.file).name} is neither "
        f"in the weights folder nor in one of your own. {checkpoint.source.advice(checkpoint.key)}"
    )


def verify(checkpoint: Checkpoint, path: Path) -> bool:
    """True if the file's SHA-256 is the record's, False if there is none to compare with; WrongHash if it differs."""
    if not checkpoint.sha256 or _is_converted(checkpoint, path):
        return False
    size = path.stat().st_size
    if checkpoint.size and size != checkpoint.size:
        raise _wrong(checkpoint, path, f"it has {size:,} bytes instead of {checkpoint.size:,}")
    found = checksums.sha256(path, memory())
    if found != checkpoint.sha256:
        raise _wrong(checkpoint, path, f"its SHA-256 begins {found[:12]} instead of {checkpoint.sha256[:12]}")
    return True


def load(checkpoint: Checkpoint) -> nn.Module:
    """The record's network: found, its bytes compared, opened without running it, its shapes compared, filled."""
    path = locate(checkpoint)
    state = open_state(path, checkpoint.inside, whole=verify(checkpoint, path))
    with naming(path):
        _expect(checkpoint, path, state)
        return match.build(state, checkpoint.config)


def _expect(checkpoint: Checkpoint, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """CheckpointError unless this can be the record's, by its shapes and by what a folder says of itself."""
    match.expect(checkpoint, state)
    if path.is_dir():
        diffusers_form.expect(checkpoint, path)


def add(checkpoint: Checkpoint, path: Path) -> Path:
    """Bring a file to where the record's is looked for, if it is the record's; the new path.

    It is copied, or renamed where it lies in the weights folder already. A folder of diffusers' kind is put together
    to one file. What came with the project is not replaced.
    """
    if checkpoint.source.kind == "shipped" and path_of(checkpoint).is_file():
        raise CheckpointError(
            f"{checkpoint.key} comes with the project and is not replaced from here. Measure your file with python -m "
            "restore_core evaluate --weights FILE, or put it in that one's place by hand."
        )
    if diffusers_form.is_one(path):
        return _put_together(checkpoint, path)
    kind = format_of(path)
    verify(checkpoint, path)
    check(checkpoint, path)
    target = path_of(checkpoint)
    if kind == "safetensors":
        target = target.with_suffix(".safetensors")
    if path.resolve() == target.resolve():
        return target
    if path.resolve().is_relative_to(folder().resolve()):
        target.parent.mkdir(parents=True, exist_ok=True)
        return path.replace(target)
    with making_room(target, path.stat().st_size) as part:
        shutil.copyfile(path, part)
    return target


def _put_together(checkpoint: Checkpoint, path: Path) -> Path:
    check(checkpoint, path)
    state = match.network_of(diffusers_form.open_folder(path))
    target = path_of(checkpoint).with_suffix(".safetensors")
    with making_room(target, sum(t.numel() * t.element_size() for t in state.values())) as part:
        ours = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(ours, part, {"format": "pt", "source": path.name, "key": checkpoint.key})
    return target


def check(checkpoint: Checkpoint, path: Path) -> None:
    """CheckpointError unless the file can be opened, is finite, and fits the record's network in names and shapes."""
    state = open_state(path, checkpoint.inside)
    with naming(path):
        _expect(checkpoint, path, state)
        state = match.network_of(state)
        match.compare(match.blank(state, checkpoint.config).state_dict(), state)
        match.check_numbers(state)


def remove(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Delete what lies of the record in the weights folder, an unfinished download too; what was deleted.

    Files that came with the project and files in other folders stay.
    """
    if checkpoint.source.kind == "shipped":
        raise CheckpointError(
            f"{checkpoint.key} comes with the project and is not removed from here. Delete its file by hand."
        )
    own = [path for path in _places(checkpoint) if path.is_relative_to(folder())]
    own += [stray.path for stray in strays() if stray.records == (checkpoint,)]
    part = part_of(checkpoint)
    gone = tuple(path for path in (*own, part, part.with_name(f"{part.name}.etag")) if path.is_file())
    for path in gone:
        path.unlink()
    elsewhere = next((path for path in _places(checkpoint) if path.is_file()), None) or _found(checkpoint)
    if not gone and elsewhere and elsewhere.is_dir():
        raise CheckpointError(f"{checkpoint.key} is the folder {elsewhere}, which is only read. Delete it by hand.")
    if not gone and elsewhere:
        raise CheckpointError(
            f"{checkpoint.key} lies in {elsewhere.parent}, which is only read. Delete it there by hand."
        )
    return gone


@dataclass(frozen=True)
class Standing:
    """What is on this machine of one record. `part`: bytes of an unfinished download."""

    checkpoint: Checkpoint
    path: Path | None
    size: int
    part: int
    checksum: Checksum | None


def standing(checkpoint: Checkpoint) -> Standing:
    """Quick: no file is read, a checksum is only remembered."""
    path, part = _found(checkpoint), part_of(checkpoint)
    gathered = part.stat().st_size if part.is_file() else 0
    if path is None:
        return Standing(checkpoint, None, 0, gathered, None)
    return Standing(checkpoint, path, recognition.identity(path)[1], gathered, _checksum(checkpoint, path))


def strays() -> tuple[recognition.Stray, ...]:
    """Files in the weights folder that no record's name leads to: told by what is in them, or with what is wrong."""
    return recognition.strays(lambda: _claimed(folder(), tuple(CATALOGUE)))


@contextmanager
def making_room(target: Path, size: int) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the target's place if the block ends well, and is deleted if not."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        check_room(target, size)
        yield part
        part.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def check_room(target: Path, size: int) -> None:
    """CheckpointError unless `size` bytes more fit on the disk of `target`, whose folder is made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise CheckpointError(
            f"{target.name} needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free where the weights "
            "lie. Make room, or keep weights on another disk (set STEPBACK_WEIGHTS to a folder there)."
        )


def unwritable(target: Path, error: OSError) -> CheckpointError:
    """The sentence for a file that could not be written."""
    if error.errno in FULL:
        return CheckpointError(
            f"The disk filled up while {target.name} was being written; what was there of it is deleted. "
            "Make room, or keep weights on another disk (set STEPBACK_WEIGHTS to a folder there)."
        )
    return CheckpointError(
        f"{target} cannot be written ({error.strerror or error}). Choose a folder of yours "
        "(STEPBACK_WEIGHTS), or check the permissions."
    )


def _places(checkpoint: Checkpoint) -> Iterator[Path]:
    """Where the record's file may lie, most trusted first; beside each, its conversion to safetensors before it."""
    for root in (folder(), *mirrors()):
        yield from _named(checkpoint, root)


def _named(checkpoint: Checkpoint, root: Path) -> Iterator[Path]:
    names = (checkpoint.file, *checkpoint.names)
    for name in dict.fromkeys((*names, *(f"{checkpoint.family}/{name}" for name in checkpoint.names))):
        path = root / name
        yield from dict.fromkeys((path.with_suffix(".safetensors"), path))


def _folder_places(checkpoint: Checkpoint) -> Iterator[Path]:
    """Where its folder in diffusers' form may lie; a mirror may be that folder itself."""
    for root in (folder(), *mirrors()):
        if root.name in checkpoint.folders:
            yield root
        for name in checkpoint.folders:
            yield from (root / name, root / checkpoint.family / name)


@lru_cache(maxsize=4)
def _claimed(root: Path, keys: tuple[str, ...]) -> frozenset[Path]:
    """Where the names of these records lead to in the weights folder."""
    return frozenset(path for key in keys for path in _named(CATALOGUE[key], root))


def _found(checkpoint: Checkpoint) -> Path | None:
    """The record's file under one of its names, else one that can be nothing else by what is in it."""
    named = next((path for path in _places(checkpoint) if path.is_file()), None)
    if named is not None or checkpoint.source.kind == "shipped":
        return named
    whole = next((path for path in _folder_places(checkpoint) if diffusers_form.is_one(path)), None)
    if whole is not None:
        return whole
    told = (stray.path for stray in strays() if stray.records == (checkpoint,))
    return next(told, None)


def _checksum(checkpoint: Checkpoint, path: Path) -> Checksum:
    if _is_converted(checkpoint, path):
        return "converted here"
    if not checkpoint.sha256:
        return "none published"
    known = checksums.remembered(path, memory())
    if not known:
        return "not compared yet"
    return "right" if known == checkpoint.sha256 else "wrong"


def _is_converted(checkpoint: Checkpoint, path: Path) -> bool:
    return path.suffix == ".safetensors" != Path(checkpoint.file).suffix


def _wrong(checkpoint: Checkpoint, path: Path, how: str) -> WrongHash:
    return WrongHash(
        f"{path.name} is not the published file of {checkpoint.key}: {how}. It was damaged or changed, so "
        f"it is not used. Delete it (python -m restore_core weights remove {checkpoint.key}) and get it "
        "again."
    )
