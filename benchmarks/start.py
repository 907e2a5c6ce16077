"""How long one waits for the page: python -m benchmarks.start

    start to page: from the command to the first whole answer of a server on this machine      goal: 8 s or less
    seconds for `import restore_core` alone, and for the command line's help

Medians of some starts, files being in the system's cache after the first.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

from benchmarks.hosting import ROOT, free_port

PATIENCE = 120.0  # seconds


def until_page() -> float:
    """Seconds from starting the server to its page; the server is ended."""
    port, began = free_port(), time.perf_counter()
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", "--offline"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - began < PATIENCE:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
                    answer.read()
                return time.perf_counter() - began
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
    finally:
        server.terminate()
        server.wait()
    raise TimeoutError(f"No page within {PATIENCE:.0f} s.")


def until_done(*arguments: str) -> float:
    """Seconds of one call of Python."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    print(f"start to page: {statistics.median(until_page() for _ in rounds):.1f} s")
    for name, call in {
        "import of the engine": ("-c", "import restore_core"),
        "help of the command line": ("-m", "restore_core", "--help"),
    }.items():
        print(f"{name}: {statistics.median(until_done(*call) for _ in rounds):.1f} s", flush=True)


if __name__ == "__main__":
    main()
