"""CLIP's byte pair encoding: a prompt as 77 numbers, [start, up to 75 tokens, end, 0, 0, ...].

The vocabulary follows from the list of merges (clip_merges.txt.xz, OpenAI's, MIT licence): 256 bytes, the same at the
end of a word, one for each merge, start and end. Radford et al. 2021; Sennrich et al. 2016.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore_core.networks.published import borrow

MERGES = Path(__file__).with_name("clip_merges.txt.xz")
LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


@dataclass(frozen=True)
class Tokens:
    """ids       (N, 77), int64
    unseen    of each prompt the words behind the 75th token, which no network sees; "" where it fitted
    """

    ids: Tensor
    unseen: tuple[str, ...]


def tokenize(prompts: Sequence[str]) -> Tokens:
    """Longer prompts are cut after 75 tokens, and what was cut is told."""
    tokenizer = _tokenizer()
    rows, unseen = [], []
    for prompt in prompts:
        ids = tokenizer(prompt)["input_ids"]
        rest = ids[LENGTH - 1 : -1]
        row = [*ids[: LENGTH - 1], ids[-1]] if rest else ids
        rows.append(row + [0] * (LENGTH - len(row)))
        unseen.append(tokenizer.decode(rest).strip() if rest else "")
    return Tokens(torch.tensor(rows), tuple(unseen))


def vocabulary(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Token -> its number."""
    letters = [chr(code) for code in _printable()]
    tokens = [
        *letters,
        *(letter + WORD_END for letter in letters),
        *("".join(pair) for pair in merges),
        START,
        END,
    ]
    return {token: i for i, token in enumerate(tokens)}


def _printable() -> Iterator[int]:
    """The character that stands for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    yield from seen
    yield from range(256, 512 - len(seen))


@cache
def _tokenizer() -> Any:
    with lzma.open(MERGES, "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file]
    return borrow("transformers", "CLIPTokenizer")(vocab=vocabulary(merges), merges=merges)
