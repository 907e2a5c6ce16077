"""Two to four settings on one photo, from the same starting noise, measured alike.

    asked = prepare(photo, [{"method": "dvsr"}, {"method": "irsde", "eta": 1}], library)
    for contender in asked.contenders:
        last = finish(job.run(contender.job, library))
        ended.append(asked.ended(contender, last))
    keep(asked, ended, folder)

The noise comes from the seed alone, so runs of one seed start from the same numbers wherever their states have one
shape; the notes say where they have not.

    asked     wishes -> contenders -> Ended       table     columns of numbers       keeping   sheet, report, JSON
"""

from restore_core.comparison.asked import (
    LETTERS,
    Comparison,
    Contender,
    Ended,
    Wish,
    again,
    differing,
    flattened,
    has_holes,
    prepare,
    start_notes,
)
from restore_core.comparison.keeping import keep, report, sheet
from restore_core.comparison.table import COLUMNS, Column, best, columns

__all__ = [
    "COLUMNS",
    "LETTERS",
    "Column",
    "Comparison",
    "Contender",
    "Ended",
    "Wish",
    "again",
    "best",
    "columns",
    "differing",
    "flattened",
    "has_holes",
    "keep",
    "prepare",
    "report",
    "sheet",
    "start_notes",
]
