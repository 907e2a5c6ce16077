"""Who may enter, from a file of names and hashed passwords: one `name:scrypt$n$r$p$salt$key` a line.

scrypt (RFC 7914) with n = 2^14, r = 8, p = 1 takes some 16 MB and 50 ms a try, so a stolen file is slow to guess from.
Salt and key are base64. Empty lines and lines that begin with # are left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from restore_core.errors import SettingsError

COST, BLOCK, LANES = 2**14, 8, 1
MEMORY = 64 << 20  # bytes that one hash may take
LONGEST = 1024  # characters of a password
NAME = re.compile(r"[^\s:$#][^\s:$]{0,63}")
HOW = "Make lines with: python app.py --add-user NAME --auth-file FILE"


@dataclass(frozen=True)
class Secret:
    """A password's hash, with what it was made with."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    key: bytes

    def matches(self, password: str) -> bool:
        """In a time that tells nothing."""
        found = _scrypt(password, self.salt, self.cost, self.block, self.lanes, len(self.key))
        return secrets.compare_digest(found, self.key)


class Accounts:
    """Names and their secrets; await accounts.enter(name, password)."""

    def __init__(self, secrets_by_name: Mapping[str, Secret]):
        self.by_name = dict(secrets_by_name)
        self._nobody = _new("nobody's")  # so that a wrong name takes as long as a wrong password
        self._limit: CapacityLimiter | None = None

    async def enter(self, name: str, password: str) -> bool:
        """Whether name and password belong together; two tries at a time, beside the server's loop."""
        if self._limit is None:
            self._limit = CapacityLimiter(2)
        return await to_thread.run_sync(self.matches, name, password, limiter=self._limit)

    def matches(self, name: str, password: str) -> bool:
        """The same, at once."""
        if len(password) > LONGEST:
            return False
        known = self.by_name.get(name)
        right = (known or self._nobody).matches(password)
        return right and known is not None


def read(path: Path) -> Accounts:
    """The accounts of a file; SettingsError with the line that is wrong."""
    found: dict[str, Secret] = {}
    for number, text in enumerate(_lines(path), 1):
        if not text.strip() or text.startswith("#"):
            continue
        name, _, told = text.strip().partition(":")
        secret = _parsed(told)
        if not NAME.fullmatch(name) or secret is None:
            raise SettingsError(
                f"{path.name}, line {number}, is no account: it should be NAME:scrypt$..., and passwords are never "
                f"written as they are. {HOW}"
            )
        if name in found:
            raise SettingsError(f"{path.name}, line {number}: {name} is there twice. Remove one of the two lines.")
        found[name] = secret
    if not found:
        raise SettingsError(f"{path.name} holds no account, so nobody could enter. {HOW}")
    return Accounts(found)


def add(path: Path, name: str, password: str) -> None:
    """Write an account into the file, in place of one of the same name; the file is for its owner alone."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"'{name}' is no name for an account: no spaces, colons, # or $, 64 characters at most.")
    if not 8 <= len(password) <= LONGEST:
        raise SettingsError(f"A password has 8 to {LONGEST} characters, and this has {len(password)}. Choose another.")
    kept = [line for line in (_lines(path) if path.exists() else []) if line.partition(":")[0].strip() != name]
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join([*kept, f"{name}:{_written(_new(password))}", ""]))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SettingsError(f"{path} cannot be written ({error.strerror}). Choose another file.") from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}, so nobody could enter. {HOW}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"{path} cannot be read ({reason}). Choose a text file of accounts. {HOW}") from error


def _new(password: str) -> Secret:
    salt = secrets.token_bytes(16)
    return Secret(COST, BLOCK, LANES, salt, _scrypt(password, salt, COST, BLOCK, LANES, 32))


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int, length: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=MEMORY, dklen=length)


def _written(secret: Secret) -> str:
    ends = (base64.b64encode(part).decode() for part in (secret.salt, secret.key))
    return "$".join(("scrypt", str(secret.cost), str(secret.block), str(secret.lanes), *ends))


def _parsed(told: str) -> Secret | None:
    parts = told.split("$")
    if len(parts) != 6 or parts[0] != "scrypt" or not all(p.isdigit() and len(p) < 8 for p in parts[1:4]):
        return None
    cost, block, lanes = map(int, parts[1:4])
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts[4:])
    except (binascii.Error, ValueError):
        return None
    fits = cost > 1 and cost & (cost - 1) == 0 and 1 <= lanes <= 16 and 128 * cost * block * 2 <= MEMORY
    return Secret(cost, block, lanes, salt, key) if fits and block and len(salt) >= 8 and 16 <= len(key) <= 64 else None


__all__ = ["Accounts", "Secret", "add", "read"]
