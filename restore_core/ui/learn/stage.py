"""What the parts of the Learn tab share on the server: scenes by their key, and what was once worked out for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_core import images
from restore_core.engine import never
from restore_core.errors import SettingsError
from restore_core.teaching.scenes import Scene, scene
from restore_core.ui.desk import Desk

EXAMPLES = Path(__file__).parent / "examples"
EXAMPLE_LABELS = {"cat": "Cat", "coffee": "Cup", "astronaut": "Astronaut"}
TASK = "sr4"
SCENES, RESULTS = 64, 160  # kept, oldest out first: a result is some 0.3 MB of text

Value = dict[str, Any]


class Recent:
    """The last few of what was made, by key. One thread makes what others wait for."""

    def __init__(self, keep: int):
        self.keep = keep
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Any:
        """What is held under `key`, or None."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Hold it; the oldest makes room."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self.keep:
                self._held.popitem(last=False)


@dataclass(frozen=True)
class Stage:
    """Scenes and results of one server."""

    desk: Desk
    scenes: Recent = field(default_factory=lambda: Recent(SCENES))
    results: Recent = field(default_factory=lambda: Recent(RESULTS))

    def set_up(self, source: str, task: str) -> Scene:
        """The scene of an example (by its name) or of a file (by its path); its key finds it again."""
        path = EXAMPLES / f"{source}.jpg" if source in EXAMPLE_LABELS else Path(source)
        photo = images.load(path, max_pixels=self.desk.max_pixels)
        made = scene(photo.rgb, task, self.desk.library)
        self.scenes.put(made.key, made)
        return made

    def scene(self, key: object) -> Scene:
        """The scene with this key; the first example where none was chosen yet."""
        if not key:
            return self.set_up(next(iter(EXAMPLE_LABELS)), TASK)
        found = self.scenes.find(str(key))
        if found is None:
            raise SettingsError(
                "This picture is no longer here: others took its place. Choose it again above."
            )
        return found

    def worked_out(
        self,
        part: str,
        key: object,
        asked: tuple[Hashable, ...],
        work: Callable[[Scene], Value],
        *,
        light: bool = False,
    ) -> Value:
        """`work` on the scene, or what it gave the last time. It has the device to itself unless it is `light`."""
        chosen = self.scene(key)
        full = (part, chosen.key, asked)
        found = self.results.find(full)
        if found is not None:
            return found
        with nullcontext() if light else self.desk.turns.turn(never):
            found = self.results.find(full)  # another page may have asked for the same in the meantime
            if found is None:
                found = work(chosen) | {"scene": chosen.key, "asked": list(asked)}
                self.results.put(full, found)
        return found
