"""The app in a process of its own, on a free port of this machine: for what looks at it from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds until it answers
ENDING = 20.0  # seconds that it has to end in


@dataclass(frozen=True)
class App:
    """One that runs.

    said   the file that holds what it printed;   kept: the folder of its uploads and results
    """

    address: str
    process: subprocess.Popen[bytes]
    said: Path
    kept: Path


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(folder: Path, *arguments: str, environment: Mapping[str, str | None] | None = None) -> Iterator[App]:
    """An app that answers; it has ended with the block.

    folder        where its files go, which stay
    arguments     of app.py, beside the port
    environment   what differs in it from this process's: a value, or None for a name that is to be left out
    """
    port, said, kept = free_port(), folder / "server.txt", folder / "kept"
    kept.mkdir()
    changed = os.environ | {"GRADIO_TEMP_DIR": str(kept)} | dict(environment or {})
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", *arguments]
    with said.open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={k: v for k, v in changed.items() if v is not None}, stdout=out,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        until_it_answers(address, process, said)
        yield App(address, process, said, kept)
    finally:
        end(process)


def until_it_answers(address: str, process: subprocess.Popen, said: Path) -> None:
    """Wait for the server at this address; RuntimeError with what it `said` where it ended, or PATIENCE did."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, ValueError), urllib.request.urlopen(f"{address}/healthz", timeout=2) as answer:
            if json.load(answer)["ok"]:
                return
        time.sleep(0.5)
    told = said.read_text()[-2000:] if said.is_file() else ""
    raise RuntimeError(f"The app {'ended' if process.poll() is not None else 'does not answer'}. It said: {told}")


def end(process: subprocess.Popen) -> None:
    """Politely, then not."""
    process.terminate()
    try:
        process.wait(ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


__all__ = ["App", "free_port", "served", "until_it_answers"]
