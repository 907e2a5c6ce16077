"""The Compare tab's components and the handlers between them: what comes in, what the cards say, what is run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr

from restore_core import comparison, images
from restore_core.comparison import LETTERS, Wish
from restore_core.degradations import TASKS
from restore_core.diagnosis import diagnose
from restore_core.errors import RestoreError, SettingsError
from restore_core.library import card
from restore_core.methods import KNOWN, METHODS
from restore_core.settings import Settings
from restore_core.ui import cards, masking, widgets
from restore_core.ui.asking import look_of, need_photo
from restore_core.ui.cards import FIELDS, Card
from restore_core.ui.comparing import Message, compared
from restore_core.ui.desk import Desk, sentence
from restore_core.ui.foreseeing import Foresight, foreseen_of
from restore_core.ui.links import Send
from restore_core.ui.newest import Newest
from restore_core.ui.turns import AT_ONCE

Updates = dict[Any, Any]

FEWEST = 2
HOLES = "inpaint"  # what a photo with transparent parts needs
TOLD = "told"  # the task: the weights on the cards say what is undone


@dataclass(frozen=True)
class Tab:
    """The tab's components, and the handlers between them."""

    desk: Desk
    photo: gr.Image
    clean: gr.Image
    facts: gr.HTML
    task: gr.Radio
    estimate: gr.HTML
    later: gr.Timer
    seed: gr.Number
    same: gr.Checkbox
    cards: tuple[Card, ...]
    count: gr.State
    more: gr.Button
    fewer: gr.Button
    run: gr.Button
    stop: gr.Button
    message: gr.HTML
    films: tuple[gr.HTML, ...]
    places: tuple[gr.Column, ...]
    viewer: gr.HTML
    table: gr.HTML
    kept: gr.Row
    files: tuple[gr.DownloadButton, ...]
    incoming: gr.State
    seen: gr.State
    restore: gr.Button
    newest: Newest = field(default_factory=Newest)

    @property
    def sends(self) -> tuple[Send, ...]:
        """The photo may go back to Restore."""
        return (Send(self.restore, "restore", photo=self.photo),)

    @property
    def entered(self) -> tuple[Callable[..., Updates], list[Any], list[Any]]:
        """Weights may have come or gone meanwhile."""
        return self.enter, self.listed, [c.controls["variant"] for c in self.cards]

    @property
    def listed(self) -> list[Any]:
        """Every card's controls, A's first."""
        return [control for card in self.cards for control in card.listed]

    @property
    def asked(self) -> list[Any]:
        """What a run reads."""
        return [self.photo, self.clean, self.task, self.seed, self.same, self.count, *self.listed]

    # handlers

    def enter(self, *read: Any) -> Updates:
        """The tab was opened: the menus say which weights are here now."""
        library = self.desk.library
        menus = [gr.update(choices=cards.weights(one["method"], library)) for one in self.values(read)]
        return dict(zip((c.controls["variant"] for c in self.cards), menus, strict=True))

    def look(self, path: str | None) -> Updates:
        """A photo came or went: what it is, and what it needs."""
        try:
            line, seen = self._look(path)
            return {self.facts: widgets.text(line), self.seen: seen, self.message: ""}
        except Exception as error:
            return {self.facts: "", self.seen: "", self.message: widgets.text(sentence(error), "error")}

    def follow(self, task: str, seen: str, *read: Any) -> Updates:
        """The cards take weights for what the photo needs, or for what somebody says is wrong with it."""
        wanted = {"auto": seen, TOLD: ""}.get(task, task)
        updates: Updates = {self.seen: seen}  # Gradio takes no empty answer
        for place, before in enumerate(self.values(read)):
            after = self._suiting(before, place, wanted)
            if after != before:  # nothing else: a number may be typed in meanwhile
                updates |= self._one(place, after)
        return updates

    def receive(self, incoming: str | None, task: str, *read: Any) -> Updates:
        """Settings came from another tab: the cards show them, and say from now on what is undone."""
        values, updates = self.values(read), {self.incoming: None}
        if not incoming:
            return updates
        try:
            values, count = self._received(json.loads(incoming), values)
            updates |= self._laid_out(max(count, FEWEST)) | {self.task: TOLD, self.message: ""}
        except (RestoreError, ValueError) as error:
            updates[self.message] = widgets.text(sentence(error), "error")
        return updates | self._adjusted(values)

    def _look(self, path: str | None) -> tuple[str, str]:
        """(the photo in words, the task it needs); empty without one."""
        if not path:
            return "", ""
        photo, look = images.load(path, max_pixels=self.desk.max_pixels), look_of(images.inspect(path))
        if comparison.has_holes(photo):
            return f"{look}. Its transparent parts are filled.", HOLES
        seen = diagnose(photo.rgb)
        return f"{look}. {seen.sentence}", seen.task

    def _received(self, data: Any, values: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
        """The cards with settings from elsewhere, and how many cards that takes; a single one becomes A."""
        if not isinstance(data, dict | list):
            raise SettingsError("What came here are no settings, so nothing was changed. Send them again.")
        wishes = comparison.again({"settings": data} if isinstance(data, list) else data)[: len(LETTERS)]
        taken = [cards.shown(self._settings(wish)) for wish in wishes]
        task = card(taken[0]["method"]).variant(taken[0]["variant"]).task
        rest = [cards.for_task(one, task) for one in values[len(taken) :]]
        return [*taken, *rest], len(taken)

    @staticmethod
    def _settings(wish: Wish) -> Settings:
        return card(wish["method"]).settings(**{k: v for k, v in wish.items() if k != "method"})

    def mark(self, request: gr.Request, path: str | None, drawn: dict[str, Any] | None) -> Updates:
        """Holes were painted: the photo has them from now on, and arrives anew."""
        try:
            return {self.photo: str(masking.save(self.desk, request.session_hash or "", need_photo(path), drawn))}
        except Exception as error:
            return {self.message: widgets.text(sentence(error), "error")}

    def _suiting(self, values: dict[str, Any], place: int, wanted: str) -> dict[str, Any]:
        """The card with weights for the task; one that fills holes where there are none now takes another method."""
        if wanted == HOLES:
            return self._filling(values, place)
        after = cards.for_task(values, wanted)
        if wanted not in TASKS or card(after["method"]).variant(after["variant"]).task != HOLES:
            return after
        able = [key for key, method in METHODS.items() if wanted in {v.task for v in method.card.variants}]
        method = able[place % len(able)]
        variant = card(method).variant_for(wanted).key
        return cards.moved(values | {"method": method, "variant": variant}, "variant")

    def _filling(self, values: dict[str, Any], place: int) -> dict[str, Any]:
        """The card with weights for holes: its own method's where they are here, else one that is told of them."""
        own = [v.key for v in card(values["method"]).variants if v.task == HOLES]
        here = [key for key in own if self.desk.library.has(values["method"], key)]
        if here:
            return cards.moved(values | {"variant": here[0]}, "variant")
        method = list(KNOWN)[place % len(KNOWN)]
        return cards.moved(values | {"method": method, "variant": card(method).variant_for(HOLES).key}, "variant")

    def moved(self, *read: Any, letter: str, key: str) -> Updates:
        """A control that others hang on was moved by hand."""
        place = LETTERS.index(letter)
        return self._one(place, cards.moved(dict(zip(FIELDS, read, strict=True)), key))

    def arrange(self, count: int, change: int) -> Updates:
        """One card more or fewer."""
        return self._laid_out(min(len(LETTERS), max(FEWEST, count + change)))

    def hand_over(self, *read: Any, swap: bool) -> Updates:
        """A and B change places, or B becomes like A."""
        a, b = self.values(read)[:2]
        return self._one(1, a) | (self._one(0, b) if swap else {})

    def share(self, same: bool) -> Updates:
        """One variation number for all, or each its own."""
        own = {card.controls["seed"]: gr.update(interactive=not same) for card in self.cards}
        return own | {self.seed: gr.update(interactive=same)}

    def foresee(self, request: gr.Request, path: str | None, seen: str, count: int, *read: Any) -> Updates:
        """How long it will take, next to the button before it is pressed. `seen`: empty without a readable photo."""
        stands, told = self.newest.ask(request.session_hash or ""), Foresight("")
        try:
            if path and seen:
                told = foreseen_of(self._runs(self.values(read)[:count]), images.inspect(path).size, self.desk)
        except RestoreError as error:
            told = Foresight(widgets.text(str(error), "error"))
        if not stands():
            return {self.estimate: gr.skip(), self.later: gr.skip()}
        return {self.estimate: told.html, self.later: gr.Timer(active=told.pending)}

    def _runs(self, values: Sequence[dict[str, Any]]) -> dict[str, Settings]:
        fresh = {"precision": self.desk.library.precision}
        return {letter: self._settings(cards.wish(one) | fresh) for letter, one in zip(LETTERS, values, strict=False)}

    def compare(
        self, request: gr.Request, path: str | None, clean: str | None, task: str, seed: int, same: bool, count: int,
        *read: Any,
    ) -> Iterator[Updates]:
        """Run was pressed."""
        yield {
            self.run: gr.update(interactive=False), self.stop: gr.update(interactive=True), self.message: "",
            self.kept: gr.update(elem_classes=widgets.AWAY), self.viewer: {"id": "", "pictures": []},
        }  # fmt: skip
        try:
            wishes = self.wishes(self.values(read)[:count], int(seed or 0) if same else None)
        except RestoreError as error:
            yield {self.message: widgets.text(str(error), "error")}
            return
        told = "auto" if task == TOLD else task
        for message in compared(self.desk, request.session_hash or "", path, wishes, task=told, clean=clean):
            yield self._told(message)

    def _told(self, message: Message) -> Updates:
        updates: Updates = {self.films[LETTERS.index(letter)]: value for letter, value in message.films.items()}
        if message.table is not None:
            updates[self.table] = message.table
        if message.pictures is not None:
            updates[self.viewer] = message.pictures
        if message.text:
            updates[self.message] = widgets.text(message.text, "error" if message.failed else "note")
        if message.kept is not None:
            paths = (message.kept.sheet, message.kept.settings, message.kept.report)
            updates |= {self.kept: gr.update(elem_classes=[])} | dict(zip(self.files, map(str, paths), strict=True))
        return updates

    def ready(self) -> Updates:
        """After a run, however it ended."""
        return {self.run: gr.update(interactive=True), self.stop: gr.update(interactive=False)}

    def halt(self, request: gr.Request) -> None:
        """Stop was pressed."""
        self.desk.store.stop(request.session_hash or "")

    # between controls and values

    def values(self, read: Sequence[Any]) -> list[dict[str, Any]]:
        """One dict a card from the values of `listed`."""
        n = len(FIELDS)
        each = (dict(zip(FIELDS, read[k * n : (k + 1) * n], strict=True)) for k in range(len(self.cards)))
        return [cards.consistent(one) for one in each]

    @staticmethod
    def wishes(values: Sequence[dict[str, Any]], seed: int | None) -> list[Wish]:
        """What the cards ask for, with one variation number for all where there is one."""
        found = [cards.wish(one) for one in values]
        return found if seed is None else [{**one, "seed": seed} for one in found]

    def _one(self, place: int, values: dict[str, Any]) -> Updates:
        return dict(zip(self.cards[place].listed, cards.adjusted(values, self.desk.library), strict=True))

    def _adjusted(self, values: Sequence[dict[str, Any]]) -> Updates:
        return {key: update for k, one in enumerate(values) for key, update in self._one(k, one).items()}

    def _laid_out(self, count: int) -> Updates:
        boxes = [*zip((card.box for card in self.cards), range(len(LETTERS)), strict=True)]
        boxes += [*zip(self.places, range(len(LETTERS)), strict=True)]
        return {box: gr.update(visible=place < count) for box, place in boxes} | {
            self.count: count, self.more: gr.update(interactive=count < len(LETTERS)),
            self.fewer: gr.update(interactive=count > FEWEST),
        }  # fmt: skip

    # wiring

    def wire(self, dice: gr.Button, swap: gr.Button, copy: gr.Button, holes: masking.Editor) -> None:
        """Which event calls which handler."""
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        last = quick | {"trigger_mode": "always_last"}
        boxes = [*(card.box for card in self.cards), *self.places, self.count, self.more, self.fewer]
        told = [self.task, self.seen, *self.listed]
        looked = self.photo.change(self.look, self.photo, [self.facts, self.seen, self.message], **last)
        followed = looked.then(self.follow, told, told[1:], **quick)  # after look: settings sent along are here by then
        events = [followed, self.task.input(self.follow, told, told[1:], **last)]
        received = [self.message, self.incoming, self.task, *boxes, *self.listed]
        events += [self.incoming.change(self.receive, [self.incoming, self.task, *self.listed], received, **last)]
        for one in self.cards:
            for key in ("method", "variant", "sampler"):
                handler = partial(self.moved, letter=one.letter, key=key)
                events += [one.controls[key].input(handler, one.listed, one.listed, **last)]
            events += [one.controls["steps"].input(lambda: None, **last)]
        holes.take.click(lambda path: path, self.photo, holes.canvas, **quick)
        holes.use.click(self.mark, [self.photo, holes.canvas], [self.photo, self.message], **quick)
        events += [self.more.click(partial(self.arrange, change=1), self.count, boxes, **quick)]
        events += [self.fewer.click(partial(self.arrange, change=-1), self.count, boxes, **quick)]
        pair = [*self.cards[0].listed, *self.cards[1].listed]
        events += [swap.click(partial(self.hand_over, swap=True), self.listed, pair, **quick)]
        events += [copy.click(partial(self.hand_over, swap=False), self.listed, pair, **quick)]
        foresee = {
            "fn": self.foresee, "inputs": [self.photo, self.seen, self.count, *self.listed],
            "outputs": [self.estimate, self.later], **quick,
        }  # fmt: skip
        for event in events:
            event.then(**foresee)
        self.later.tick(**foresee)
        self.same.input(self.share, self.same, [self.seed, *(c.controls["seed"] for c in self.cards)], **quick)
        dice.click(lambda: secrets.randbelow(widgets.MAX_SEED), None, self.seed, **quick)
        outputs = [*self.films, self.run, self.stop, self.message, self.viewer, self.table, self.kept, *self.files]
        running = self.run.click(
            self.compare, self.asked, outputs, show_progress="hidden", trigger_mode="once", concurrency_id="engine",
            concurrency_limit=AT_ONCE, api_visibility="private",
        )  # fmt: skip
        running.then(self.ready, None, [self.run, self.stop], **quick)
        self.stop.click(self.halt, None, None, **quick)


__all__ = ["FEWEST", "TOLD", "Tab", "Updates"]
