"""Start the page: python app.py"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main() -> int:
    """Parse arguments, build the page, serve it; the exit code."""
    parser = argparse.ArgumentParser(description="Photo restoration by diffusion, live in a browser.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="default: 7860, or the next free one")
    parser.add_argument("--device", help="cpu, cuda, mps; default: the fastest there is")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="DIR",
                        help="also look for weights in this folder; repeatable")  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="never ask another host for weights")
    parser.add_argument("--share", action="store_true", help="a public address for three days (by Gradio)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--max-pixels", type=int, help="largest photo that is opened; default: 50 million")
    parser.add_argument("--debug", action="store_true", help="show faults in the page")
    asked = parser.parse_args()
    if asked.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"

    from restore_core.checkpoints.folders import also_look_in
    from restore_core.errors import RestoreError
    from restore_core.library import Library
    from restore_core.ui import build
    from restore_core.ui.serving import serve

    try:
        for folder in asked.models:
            also_look_in(folder)
        own = not asked.share and asked.host in LOOPBACK
        page = build(Library(asked.device), max_pixels=asked.max_pixels, keeper=own)
        browser = not asked.no_browser
        serve(page, host=asked.host, port=asked.port, share=asked.share, browser=browser, debug=asked.debug)
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
