"""Tables in a text, found by the command that stands above them and made again."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tables import find, refresh

TEXT = """# Weights

`python -m restore_core evaluate SET5 --task sr4 --mean-of 0`

| | PSNR |
|---|---|
| input | 1 |

The command `python -m restore_core evaluate SET5 --task sr4` in a sentence is none.

`python -m benchmarks.peers BSDS20 --task denoise`

Nothing yet.
"""


def test_tables_are_found_with_their_sets():
    one, two = find(TEXT.splitlines())
    assert one.task == "sr4" and (one.stop - one.start) == 3 and two.stop == two.start
    assert one.arguments(Path("here"))== ["here/set5", "--task", "sr4", "--mean-of", "0"]
    assert two.module == "benchmarks.peers" and two.task == "denoise"


def test_only_the_rows_of_wanted_tables_change():
    rows = "bsds20\n\n| | PSNR |\n|---|---|\n| BM3D | 2 |\n"
    new = refresh(TEXT, lambda table: rows, lambda table: table.task == "denoise")
    assert "| input | 1 |" in new and new.count("| BM3D | 2 |") == 1 and "bsds20\n" not in new
    assert "| BM3D | 2 |\n\nNothing yet." in new
    assert refresh(new, lambda table: rows, lambda table: table.task == "denoise") == new
