"""A short form of python -m tests.fuzz: loaders read a broken file or refuse it with a sentence, nothing else."""

from __future__ import annotations

import pytest

from tests.fuzz import images, weights
from tests.fuzz.mutation import mutant


@pytest.mark.parametrize("target, first", [(images, 0), (images, 10_000_000), (weights, 0), (weights, 10_000_000)])
def test_broken_files_are_read_or_refused(target, first: int):
    seeds = target.seeds()
    ends = [target.attempt(mutant(seeds, case)) for case in range(first, first + 400)]
    assert {"read", "refused"} == set(ends)
