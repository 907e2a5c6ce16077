"""From a built page to an address in a browser: ports, displays, and what is said on the terminal."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from restore_core import __version__
from restore_core.errors import SettingsError
from restore_core.ui import launch_options
from restore_core.ui.accounts import Accounts
from restore_core.ui.guarding import OWN, Guard, Limits
from restore_core.ui.turns import AT_ONCE, Turns
from restore_core.ui.uploads import Uploads

PORT = 7860
TRIED = 40
LARGEST_PHOTO = "200mb"  # that strangers may send; who owns the machine also brings weights
ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
PAGES = 300  # open ones whose state is kept, a megabyte each; the longest unused goes first
RUNS_END = 2.0  # seconds that a run has to end in when the server does
PAGES_END = 1  # seconds that its answers have
QUICK = 40  # threads for what is not a run


def free_port(host: str, asked: int | None = None) -> tuple[int, str]:
    """(a port to listen on, a sentence if it is not the usual one). One that was asked for and is taken is refused."""
    if asked is not None:
        if not 1 <= asked <= 65535:
            raise SettingsError(f"{asked} is not a port number. Choose one between 1024 and 65535.")
        if not _is_free(host, asked):
            raise SettingsError(
                f"Port {asked} on {host} cannot be used: another program listens there, or it is not yours to take. "
                f"Choose another with --port (or GRADIO_SERVER_PORT), or leave it out to have a free one found."
            )
        return asked, ""
    for port in range(PORT, PORT + TRIED):
        if _is_free(host, port):
            return port, "" if port == PORT else f"Port {PORT} is taken, so this is on port {port}."
    raise SettingsError(
        f"None of the ports {PORT} to {PORT + TRIED - 1} on {host} can be used. Choose one with --port."
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def has_display() -> bool:
    """Whether a browser window could open here."""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("SSH_CONNECTION")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@dataclass(frozen=True)
class Health:
    """What /healthz tells: no picture, no name, no path. It asks no lock, so it answers while the device is busy."""

    turns: Turns
    device: str
    began: float = field(default_factory=time.monotonic)

    def __call__(self) -> Mapping[str, Any]:
        return {
            "ok": True,
            "version": __version__,
            "device": self.device,
            "busy": self.turns.busy,
            "queue": self.turns.queue,
            "done": self.turns.done,
            "uptime": round(time.monotonic() - self.began, 1),
        }


def serve(
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    browser: bool = True,
    debug: bool = False,
    own: bool = True,
    health: Health | None = None,
    accounts: Accounts | None = None,
) -> bool:
    """Serve the page until interrupted. The address is always told; a browser is opened where one can be.

    Whether it was asked to end. If so the process is best ended at once: a run, or whatever else is being worked out
    for a page, may be inside PyTorch still, and a thread that is there when the interpreter goes makes it abort.

    own        whether only who owns the machine can come here: then weights may be brought, and limits are wide
    accounts   who may enter; None: whoever knows the address
    """
    few_heaps()
    chosen, said = free_port(host, port)
    limits = OWN if own else Limits()
    health = health or Health(Turns(), "unknown")
    guard = Middleware(
        Guard, limits=limits, folder=Path(get_upload_folder()), health=health, uploads=Uploads(page)
    )
    options = launch_options(debug=debug) | ({} if own else {"max_file_size": LARGEST_PHOTO})
    page.launch(
        server_name=host, server_port=chosen, share=share, prevent_thread_lock=True, max_threads=AT_ONCE + QUICK,
        app_kwargs={"middleware": [guard]}, auth=accounts.enter if accounts else None, enable_monitoring=False,
        state_session_capacity=PAGES,
        **options,
    )  # fmt: skip
    address = f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{chosen}"
    _say(said)
    _say(f"Stepback is at {address}  (Ctrl+C ends it)")
    if share and page.share_url:
        _say(f"Shared with everyone who knows it: {page.share_url}")
    if browser and has_display():
        _open(address)
    _end_on_request()
    try:
        page.block_thread()
    except _Asked:
        _end(page, health.turns)
        return True
    return False


def few_heaps() -> bool:
    """Let all threads share two heaps; whether this system has that switch.

    glibc gives each thread a heap of its own, up to eight a core, and what is freed in one stays there: thirty visitors
    made 960 MB of it in ten minutes, growing still, where two heaps stay at 720.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL("libc.so.6").mallopt(ARENA_MAX, 2))
    except (OSError, AttributeError):  # another C library
        return False


class _Asked(BaseException):
    """The server was asked to end. Gradio's own way, at KeyboardInterrupt, waits for pages to go by themselves."""


def _end_on_request() -> None:
    """A service manager's or a container's polite end is that of Ctrl+C, so that files are removed; a second kills."""

    def asked(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _Asked

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, asked)


def _end(page: gr.Blocks, turns: Turns) -> None:
    """Stop the runs, then cut the connections. That pages were cut off, in the middle of an answer too, is no error."""
    turns.close(RUNS_END)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    page.server.config.timeout_graceful_shutdown = PAGES_END
    with redirect_stderr(io.StringIO()):  # where Gradio prints the traceback of each such answer
        page.close(verbose=False)


def _open(address: str) -> None:
    try:
        webbrowser.open(address)
    except (webbrowser.Error, OSError):
        pass  # the address has been told, and that is enough


def _say(line: str) -> None:
    if line:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
