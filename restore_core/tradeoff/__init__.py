"""The perception-distortion tradeoff, measured on one's own photo: settings are swept, each becomes a point.

Blau and Michaeli 2018: no method can be nearest to the truth and look most like a photo at once; what can be had is a
frontier. Where a sampler's settings lie on it is seen by running them:

    plan = requests(Sweep("sr4", axes={"steps": (10, 20, 50), "eta": (0, 1)}))
    subject = damaged(images.load("clean.png"), "sr4", side=256)
    for point in run(plan, subject, Journal(folder, subject), library.method):
        print(point.settings["steps"], point.measures["psnr"], point.measures["lpips"])

    sweep      which settings                        subject   what is restored and held against what
    measures   the two axes, and what else is told   journal   points on disk, so that a sweep can go on later
    running    from requests to points               report    frontier, CSV, table
"""

from restore_core.tradeoff.journal import Journal, Point, Shelf
from restore_core.tradeoff.measures import Plane, plane_of
from restore_core.tradeoff.report import as_csv, as_json, as_page, as_table, frontier, means
from restore_core.tradeoff.running import Estimate, estimate, run
from restore_core.tradeoff.subject import Subject, damaged, given
from restore_core.tradeoff.sweep import AXES, PAPER_STEPS, Request, Sweep, default_values, requests

__all__ = [
    "AXES",
    "PAPER_STEPS",
    "Estimate",
    "Journal",
    "Plane",
    "Point",
    "Request",
    "Shelf",
    "Subject",
    "Sweep",
    "as_csv",
    "as_json",
    "as_page",
    "as_table",
    "damaged",
    "default_values",
    "estimate",
    "frontier",
    "given",
    "means",
    "plane_of",
    "requests",
    "run",
]
