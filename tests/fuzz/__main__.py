"""Hostile files by the hundred thousand: python -m tests.fuzz images|weights --cases 100000 --seed 0

Each case is a small valid file with a few faults: flipped bytes, cut ends, repeated or exchanged parts, numbers at
their limits, two files spliced. A loader may read it or refuse it with a sentence; anything else is a fault of ours,
and the file is kept for looking at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import images, weights
from tests.fuzz.mutation import mutant

TARGETS = {"images": images, "weights": weights}


def main() -> int:
    """Run the cases; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for files that found a fault")
    asked = parser.parse_args()
    target, began, ends, slowest = TARGETS[asked.target], time.perf_counter(), Counter(), (0.0, 0)
    seeds = target.seeds()
    for case in range(asked.seed, asked.seed + asked.cases):
        data, at = mutant(seeds, case), time.perf_counter()
        try:
            ends[target.attempt(data)] += 1
        except Exception as error:
            ends["FAULT"] += 1
            asked.keep.mkdir(exist_ok=True)
            (asked.keep / f"{asked.target}-{case}").write_bytes(data)
            print(f"case {case}: {type(error).__name__}: {error}", file=sys.stderr)
        slowest = max(slowest, (time.perf_counter() - at, case))
    took = time.perf_counter() - began
    print(f"{asked.target}: {asked.cases} cases in {took:.0f} s, {dict(ends)}; the slowest {slowest[0]:.2f} s")
    return 1 if ends["FAULT"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
