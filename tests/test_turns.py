"""Turns on one device: who is next, who lets whom in, and that it is free again however a run ends."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from restore_core.errors import Cancelled, SettingsError
from restore_core.ui import turns as module
from restore_core.ui.running import waits
from restore_core.ui.turns import Turns


def never() -> bool:
    return False


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


class Crowd:
    """Runs in threads of their own, in the order in which they came; `served` tells the order of their turns."""

    def __init__(self, turns: Turns):
        self.turns, self.served, self.threads = turns, [], []

    def add(self, name: str, session: str, seconds: float = 0.0, stop: Callable[[], bool] = never, **about) -> None:
        def work() -> None:
            try:
                with self.turns.turn(stop, session=session, about=about):
                    self.served.append(name)
                    time.sleep(seconds)
            except Cancelled:
                self.served.append(f"{name} stopped")

        before = self.turns.queue
        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()
        until(lambda: self.turns.queue == before + 1)

    def finish(self) -> list[str]:
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()
        assert not self.turns.busy and self.turns.queue == 0
        return self.served


@contextmanager
def held(turns: Turns, session: str = "first") -> Iterator[Crowd]:
    """The device is held while others come."""
    crowd = Crowd(turns)
    with turns.turn(never, session=session):
        yield crowd
    crowd.finish()


# --- who is next -----------------------------------------------------------------------------------------------


def test_strangers_are_served_in_the_order_in_which_they_came():
    with held(Turns()) as crowd:
        for name in "abcde":
            crowd.add(name, session=name)
    assert crowd.served == list("abcde")


def test_one_page_cannot_take_all_turns():
    with held(Turns(each=8)) as crowd:
        for number in range(4):
            crowd.add(f"greedy {number}", "greedy", seconds=0.02)
        crowd.add("modest", "modest")
    assert crowd.served.index("modest") == 1, "after one run of the other, not after four"


def test_who_had_much_waits_for_who_had_none():
    turns = Turns()
    crowd = Crowd(turns)
    with turns.turn(never, session="long"):
        crowd.add("short", "short")
        crowd.add("patient", "patient", seconds=0.02)
        time.sleep(0.05)
        crowd.add("long again", "long")
        crowd.add("late", "late")
    assert crowd.finish() == ["short", "patient", "late", "long again"]


def test_a_newcomer_gains_nothing_by_having_been_away():
    """Its clock starts at that of the run being served: one that began at zero would put it before all for long."""
    turns = Turns()
    with turns.turn(never, session="a"):
        time.sleep(0.05)
        crowd = Crowd(turns)
        crowd.add("a again", "a", seconds=0.3)
    until(lambda: crowd.served)
    crowd.add("newcomer", "new")
    assert turns._clocks["new"] == turns._served >= 0.05
    assert crowd.finish() == ["a again", "newcomer"]


def test_waiting_brings_a_heavy_user_on(monkeypatch):
    """Among fresh pages without end, a page that had much is served all the same."""
    monkeypatch.setattr(module, "AGEING", 100.0)
    turns = Turns()
    with turns.turn(never, session="heavy"):
        time.sleep(0.5)
        crowd = Crowd(turns)
        crowd.add("heavy", "heavy")
        time.sleep(0.1)
        crowd.add("fresh", "fresh")
    assert crowd.finish() == ["heavy", "fresh"]


def test_places_are_told_with_the_time_until_then():
    turns = Turns()
    for _ in range(3):
        with turns.turn(never, session="x"):
            time.sleep(0.1)
    with turns.turn(never, session="a") as first, held_places(turns, "bc") as (b, c):
        first.share = 0.5
        assert turns.wait_of(first) == (0, 0.0)
        (place_b, wait_b), (place_c, wait_c) = turns.wait_of(b), turns.wait_of(c)
        assert (place_b, place_c) == (1, 2) and 0 <= wait_b < wait_c
        took = statistics.median(turns._recent)
        assert wait_c - wait_b == pytest.approx(took, rel=0.1), "what runs took before is what they will take"


@contextmanager
def held_places(turns: Turns, sessions: str):
    with turns.place(never, session=sessions[0]) as b, turns.place(never, session=sessions[1]) as c:
        yield b, c


def test_durations_are_guessed_from_runs_of_the_same_kind():
    turns, took = Turns(), []
    small = {"method": "irsde", "variant": "v", "size": (100, 100), "steps": 10}
    for _ in range(3):
        with turns.turn(never, session="x", about=small) as mine:
            time.sleep(0.04)
        took.append(mine.held)
        with turns.turn(never, session="x", about=small | {"method": "sr3"}):
            pass
    with turns.place(never, session="y", about=small | {"steps": 50}) as five_times:
        assert turns._left_of(five_times) == pytest.approx(5 * statistics.median(took))


def test_without_anything_to_guess_from_no_time_is_told():
    turns = Turns()
    with turns.turn(never), turns.place(never, session="b") as mine:
        assert turns.wait_of(mine) == (1, None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((1, None), "Waiting · you are next"),
        ((4, 130.0), "Waiting · place 4 in the queue, about 2 min until your turn"),
        ((1, 12.0), "Waiting · you are next, about 12 s until your turn"),
    ],
)
def test_a_place_in_words(asked, words):
    assert waits(*asked) == words
    assert waits(*asked, begun=True) == words.replace("Waiting", "Paused to let others in")


# --- limits ----------------------------------------------------------------------------------------------------


def test_a_page_may_have_some_runs_waiting_and_is_told_of_the_limit():
    with held(Turns(each=2)) as crowd:
        crowd.add("one", "a")
        crowd.add("two", "a")
        with pytest.raises(SettingsError, match=r"2 runs of this page are waiting .* stop one"):
            with crowd.turns.turn(never, session="a"):
                pass
        crowd.add("other", "b")


def test_the_queue_is_bounded_and_says_so():
    with held(Turns(places=2)) as crowd:
        crowd.add("one", "a")
        crowd.add("two", "b")
        with pytest.raises(SettingsError, match="queue is full"), crowd.turns.turn(never, session="c"):
            pass
        assert crowd.turns.queue == 2


def test_nothing_is_remembered_of_pages_that_are_gone():
    turns = Turns()
    for number in range(200):
        with turns.turn(never, session=str(number)):
            pass
    assert not turns._clocks and not turns._waiting and len(turns._recent) <= module.REMEMBERED


# --- letting others in -----------------------------------------------------------------------------------------


def test_a_long_run_lets_a_short_one_in_between_two_steps():
    turns, crowd = Turns(slice=0.05), None
    with turns.turn(never, session="long") as mine:
        crowd = Crowd(turns)
        crowd.add("short", "short", seconds=0.05)
        assert not mine.give_way(0.1), "not before its slice is over"
        time.sleep(0.06)
        before = mine.held
        assert mine.give_way(0.5) and crowd.served == ["short"] and turns.busy
        assert mine.away >= 0.05 and mine.held == pytest.approx(before, abs=0.03), "its own time stood still"
    crowd.finish()


def test_without_others_nobody_gives_way_and_asking_costs_nothing():
    turns = Turns(slice=0.0)
    with turns.turn(never, session="long") as mine:
        began = time.monotonic()
        assert not any(mine.give_way(k / 10_000) for k in range(10_000))
        assert time.monotonic() - began < 0.5 and mine.share == 0.9999


def test_a_page_does_not_give_way_to_itself():
    with held(Turns(slice=0.0)) as crowd:
        crowd.add("next of the same page", "first")
        assert not crowd.turns._holder.give_way(0.5)


def test_states_of_waiting_runs_are_bounded_by_pixels():
    turns, huge = Turns(slice=0.0), {"size": (8000, 6000)}
    with turns.turn(never, session="a", about=huge) as mine:
        crowd = Crowd(turns)
        crowd.add("b", "b")
        assert not mine.give_way(0.5) and crowd.served == []
    crowd.finish()


def test_where_the_server_ends_who_waits_is_sent_away_and_who_runs_gives_the_device_back():
    turns, told = Turns(), []
    with pytest.raises(Cancelled, match="server ends"), turns.turn(never, session="a") as mine:
        crowd = Crowd(turns)
        crowd.add("waits", session="b")
        told.append(turns.close())
        crowd.threads[0].join(5)
        mine.give_way(0.5)
    assert told == [False] and crowd.served == ["waits stopped"] and turns.close(1.0) and not turns.busy
    with pytest.raises(Cancelled, match="server ends"), turns.turn(never):
        pytest.fail("It came after the end.")


def test_a_paused_run_can_be_stopped_and_leaves_the_device_to_who_has_it():
    turns, stop, go = Turns(slice=0.0), threading.Event(), threading.Event()

    def hold() -> None:
        with turns.turn(never, session="b"):
            go.wait(5)

    other = threading.Thread(target=hold)
    with pytest.raises(Cancelled), turns.turn(stop.is_set, session="a") as mine:
        other.start()
        until(lambda: turns.queue == 1)
        threading.Timer(0.1, stop.set).start()
        mine.give_way(0.5)
    assert turns.busy and turns.queue == 0
    go.set()
    other.join(5)
    assert not turns.busy


# --- freed however it ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SettingsError, Cancelled, MemoryError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_the_device_is_free_after_every_end(error: type[BaseException]):
    told: list = []
    turns = Turns(note=told.append)
    with pytest.raises(error), turns.turn(never, session="a"):
        raise error("the end")
    assert not turns.busy and turns.queue == 0
    assert told[0]["outcome"] == ("stopped" if error in (Cancelled, GeneratorExit) else "failed")
    with turns.turn(never, session="b"):
        assert turns.busy


def test_the_device_is_free_where_stop_itself_fails():
    turns = Turns()

    def broken() -> bool:
        raise ZeroDivisionError

    with turns.turn(never, session="a"):
        with pytest.raises(ZeroDivisionError), turns.turn(broken, session="b"):
            pass
        assert turns.queue == 0
    assert not turns.busy


def test_a_book_that_fails_holds_nobody_up(caplog):
    def broken(entry) -> None:
        raise OSError("disk full")

    turns = Turns(note=broken)
    with turns.turn(never, session="a"):
        pass
    assert not turns.busy and "could not be noted" in caplog.text


def test_each_run_is_noted_with_its_times():
    told: list = []
    turns = Turns(note=told.append)
    with turns.turn(never, session="a", about={"method": "sr3", "steps": 4}):
        time.sleep(0.02)
    assert told[0].keys() == {"session", "method", "steps", "waited", "seconds", "outcome"}
    assert told[0]["seconds"] >= 0.02 and told[0]["outcome"] == "done" and turns.done == 1


def test_forty_threads_never_hold_it_together():
    turns, inside, seen = Turns(), [], []

    def work(session: str) -> None:
        for _ in range(5):
            with turns.turn(never, session=session) as mine:
                inside.append(session)
                seen.append(len(inside))
                mine.give_way(0.5)
                inside.remove(session)

    threads = [threading.Thread(target=work, args=(str(k),)) for k in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(seen) == 1 and len(seen) == 200 and turns.done == 200 and not turns.busy
