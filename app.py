"""Start the page: python app.py"""

from __future__ import annotations

import argparse
import atexit
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_core.ui.accounts import Accounts

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported

PORT = "GRADIO_SERVER_PORT"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main() -> int:
    """Parse arguments, build the page, serve it; the exit code."""
    parser = argparse.ArgumentParser(description="Photo restoration by diffusion, live in a browser.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
                        help="address to listen on; default: 127.0.0.1, this machine only")  # fmt: skip
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or else 7860 or the next free one")
    parser.add_argument("--device", help="cpu, cuda, mps; default: the fastest there is")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="DIR",
                        help="also look for weights in this folder; repeatable")  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="never ask another host for weights")
    parser.add_argument("--share", action="store_true", help="a public address for three days (by Gradio)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--max-pixels", type=int, help="largest photo that is opened; default: 50 million")
    parser.add_argument("--auth-file", type=Path, metavar="FILE", help="only who is in this file may enter")
    parser.add_argument("--add-user", metavar="NAME", help="add NAME to the --auth-file, ask for a password, and end")
    parser.add_argument("--log", type=Path, metavar="FILE", default=os.environ.get("STEPBACK_LOG") or None,
                        help="one JSON line a run: times, settings, how it ended; no pictures, no names")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show faults in the page")
    asked = parser.parse_args()
    if asked.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"

    from restore_core.errors import RestoreError, SettingsError
    from restore_core.ui.accounts import add, read
    from restore_core.ui.sessions import temporary_folder

    try:
        if asked.add_user is not None:
            if asked.auth_file is None:
                raise SettingsError("--add-user needs a file to write the account into. Give one with --auth-file.")
            add(asked.auth_file, asked.add_user, getpass.getpass(f"Password for {asked.add_user}: "))
            return 0
        if asked.port is None:
            asked.port = _port_of(os.environ.get(PORT, "").strip())
        accounts = read(asked.auth_file) if asked.auth_file else None
        own = None if os.environ.get("GRADIO_TEMP_DIR") else temporary_folder()
        if own is not None:
            os.environ["GRADIO_TEMP_DIR"] = str(own)
        if _serve(asked, accounts):
            _end_at_once()
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _port_of(text: str) -> int | None:
    """What the environment asks for."""
    from restore_core.errors import SettingsError

    if not text.isascii() or not (text or "0").isdigit():
        raise SettingsError(
            f"{PORT} is '{text}', which is no number, so there is no such port. Set it to one between 1024 and 65535, "
            f"or leave it out to have a free one found."
        )
    return int(text) if text else None


def _end_at_once() -> None:
    """The process ends, whatever still works in it, when all is done that is to be done at its end."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def _serve(asked: argparse.Namespace, accounts: Accounts | None) -> bool:
    from restore_core import devices
    from restore_core.checkpoints.folders import also_look_in
    from restore_core.library import Library
    from restore_core.ui import build
    from restore_core.ui.joblog import JobLog
    from restore_core.ui.serving import Health, serve
    from restore_core.ui.turns import Turns

    for folder in asked.models:
        also_look_in(folder)
    own = not asked.share and asked.host in LOOPBACK and accounts is None  # accounts: others come, by a proxy perhaps
    library, turns = Library(asked.device), Turns(**({"note": JobLog(Path(asked.log))} if asked.log else {}))
    page = build(library, max_pixels=asked.max_pixels, keeper=own, turns=turns)
    health = Health(turns, devices.describe(library.device))
    return serve(
        page, host=asked.host, port=asked.port, share=asked.share, browser=not asked.no_browser, debug=asked.debug,
        own=own, health=health, accounts=accounts,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
