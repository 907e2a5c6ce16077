"""The page: build() makes it, launch_options() says how it looks. One tab, one file; TABS lists them in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from restore_core.images import MAX_PIXELS
from restore_core.library import Library
from restore_core.ui import api, batch, compare, degrade, learn, links, models, restore, tradeoff
from restore_core.ui.desk import Departures, Desk
from restore_core.ui.turns import AT_ONCE, Turns

TABS: tuple[tuple[str, str, Callable[[Desk], object]], ...] = (  # id, title, what fills it
    ("restore", "Restore", restore.fill),
    ("batch", "Batch", batch.fill),
    ("compare", "Compare", compare.fill),
    ("tradeoff", "Trade-off", tradeoff.fill),
    ("degrade", "Degrade", degrade.fill),
    ("learn", "Learn", learn.fill),
    ("models", "Models", models.fill),
)

# one function each, called when the page is there
SCRIPTS = ("numbers.js", "accessible.js", "frames.js", "dropped.js", "titled.js")
TITLE = "Stepback"
HOUR, DAY = 3600, 86_400  # seconds
HEADER = (
    '<header class="masthead"><h1>Stepback</h1>'
    "<p>Restore a blurred, small or noisy photo, and watch how the picture appears.</p></header>"
)
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
ACCENT = gr.themes.Color(
    name="accent", c50="#eef6fb", c100="#d6e9f5", c200="#aed4eb", c300="#7bb9dd", c400="#4a9ccb", c500="#1f80b8",
    c600="#0068a3", c700="#005485", c800="#06456c", c900="#0b3a59", c950="#07253b",
)  # fmt: skip


def build(
    library: Library, *, max_pixels: int | None = None, keeper: bool = True, turns: Turns | None = None
) -> gr.Blocks:
    """The whole page, not yet launched. `keeper`: whether visitors may add and remove weights."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    age = DAY if keeper else HOUR  # of files in Gradio's folder: a page at home may stay open over lunch
    desk = Desk(library, turns=turns or Turns(), max_pixels=limit, keeper=keeper)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, age)) as page:
        gr.HTML(HEADER, apply_default_css=False)
        api.fill(desk)  # first, so that the name of its endpoint is free
        filled = {}
        with gr.Tabs(elem_id="tabs") as tabs:
            for key, title, fill in TABS:
                with gr.Tab(title, id=key) as shown:
                    filled[key] = fill(desk)
                links.wire_entry(shown, filled[key])
        links.wire(tabs, filled)
        page.unload(desk.leave)
        page.unload(Departures(page).__call__)
    page.queue(max_size=4 * AT_ONCE, default_concurrency_limit=4)  # those who wait for the device wait in Turns
    return page


def theme() -> gr.themes.Base:
    """Neutral greys, so that nothing beside the picture has a colour, and one blue for what can be pressed."""
    return gr.themes.Base(
        primary_hue=ACCENT, secondary_hue=ACCENT, neutral_hue=gr.themes.colors.neutral, font=FONT, font_mono=MONO
    ).set(
        body_background_fill="#f6f6f5",
        body_background_fill_dark="#161616",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1e1e1e",
        background_fill_secondary="#f1f1f0",
        background_fill_secondary_dark="#262626",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1e1e1e",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="550",
        block_title_text_size="14px",
        block_info_text_color="#5f5f5f",
        block_info_text_color_dark="#a8a8a8",
        block_info_text_size="13px",
        block_radius="12px",
        block_shadow="none",
        border_color_primary="#dededc",
        border_color_primary_dark="#3a3a3a",
        body_text_color="#1c1c1c",
        body_text_color_dark="#ececec",
        body_text_color_subdued="#5f5f5f",
        body_text_color_subdued_dark="#a8a8a8",
        button_large_radius="10px",
        button_large_text_weight="600",
        button_primary_background_fill="#0068a3",
        button_primary_background_fill_hover="#005485",
        button_primary_background_fill_dark="#0a74b2",
        button_primary_background_fill_hover_dark="#1f80b8",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ececea",
        button_secondary_background_fill_hover="#e2e2e0",
        button_secondary_background_fill_dark="#2c2c2c",
        button_secondary_background_fill_hover_dark="#363636",
        color_accent="#0068a3",
        slider_color="#0068a3",
        slider_color_dark="#4a9ccb",
        input_background_fill="#ffffff",
        input_background_fill_dark="#262626",
    )


def launch_options(*, debug: bool = False) -> dict[str, Any]:
    """Arguments of page.launch that belong to the page rather than to the machine."""
    here = Path(__file__).parent
    scripts = ",\n".join((here / name).read_text(encoding="utf-8").rstrip() for name in SCRIPTS)
    return {
        "theme": theme(),
        "css": "\n".join(path.read_text(encoding="utf-8") for path in sorted(here.glob("page*.css"))),
        "js": f"() => {{ for (const begin of [{scripts}]) begin(); }}",
        "max_file_size": "1gb",  # weights; a photo's size is judged when it is opened
        "run_history": False,
        "footer_links": ["settings"],
        "show_error": debug,
        "ssr_mode": False,
        "quiet": True,
    }


__all__ = ["TABS", "build", "launch_options", "theme"]
