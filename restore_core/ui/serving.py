"""From a built page to an address in a browser: ports, displays, and what is said on the terminal."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser

import gradio as gr

from restore_core.errors import SettingsError
from restore_core.ui import launch_options

PORT = 7860
TRIED = 40


def free_port(host: str, asked: int | None = None) -> tuple[int, str]:
    """(a port to listen on, a sentence if it is not the usual one). One that was asked for and is taken is refused."""
    if asked is not None:
        if not 1 <= asked <= 65535:
            raise SettingsError(f"{asked} is not a port number. Choose one between 1024 and 65535.")
        if not _is_free(host, asked):
            raise SettingsError(
                f"Port {asked} on {host} cannot be used: another program listens there, or it is not yours to take. "
                f"Choose another with --port, or leave it out to have a free one found."
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


def serve(
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    browser: bool = True,
    debug: bool = False,
) -> None:
    """Serve the page until interrupted. The address is always told; a browser is opened where one can be."""
    chosen, said = free_port(host, port)
    page.launch(
        server_name=host, server_port=chosen, share=share, prevent_thread_lock=True, **launch_options(debug=debug)
    )
    address = f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{chosen}"
    _say(said)
    _say(f"Stepback is at {address}  (Ctrl+C ends it)")
    if share and page.share_url:
        _say(f"Shared with everyone who knows it: {page.share_url}")
    if browser and has_display():
        _open(address)
    page.block_thread()


def _open(address: str) -> None:
    try:
        webbrowser.open(address)
    except (webbrowser.Error, OSError):
        pass  # the address has been told, and that is enough


def _say(line: str) -> None:
    if line:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
