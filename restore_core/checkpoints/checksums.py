"""SHA-256 of files, remembered by size and time of change: half a gigabyte is read once, not at every start."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

CHUNK = 1 << 20


def sha256(path: Path, memory: Path) -> str:
    """The file's SHA-256 in hex. `memory`: the JSON file that remembers it, where it can be written."""
    known = remembered(path, memory)
    if known:
        return known
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    remember(path, digest.hexdigest(), memory)
    return digest.hexdigest()


def remembered(path: Path, memory: Path) -> str:
    """What was computed for the file as it is now, or ""."""
    size, changed, digest = _read(memory).get(str(path.resolve()), (0, 0, ""))
    now = path.stat()
    return digest if (size, changed) == (now.st_size, now.st_mtime_ns) else ""


def remember(path: Path, digest: str, memory: Path) -> None:
    """Keep the digest of the file as it is now."""
    now = path.stat()
    known = {name: entry for name, entry in _read(memory).items() if Path(name).exists()}
    known[str(path.resolve())] = (now.st_size, now.st_mtime_ns, digest)
    fresh = memory.with_name(f"{memory.name}.{os.getpid()}")
    with suppress(OSError):  # a read-only folder: it is then computed at every start
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known, indent=1))
        fresh.replace(memory)


def _read(memory: Path) -> dict[str, tuple[int, int, str]]:
    with suppress(OSError, ValueError, TypeError):
        return {str(name): (int(size), int(at), str(digest)) for name, (size, at, digest) in
                json.loads(memory.read_text()).items()}  # fmt: skip
    return {}
