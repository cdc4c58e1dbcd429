"""How often and how many at a time a model is asked, whoever asks."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.models.pace import Pace
from leed_agentic.setting_groups import ModelSettings


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def settings(**changes: object) -> ModelSettings:
    return ModelSettings.model_validate({"name": "openai:tiny", "base_url": "http://me:word@127.0.0.1:1/v1", **changes})


def test_turns_are_spread_over_the_minute_for_all_processes_together(tmp_path: Path):
    clock = Clock()
    here, there = (Pace(settings(calls_per_minute=30), tmp_path, clock, clock.sleep) for _ in range(2))
    other = Pace(settings(calls_per_minute=30, name="openai:other"), tmp_path, clock, clock.sleep)
    here.turn()
    there.turn()
    clock.now += 1.5
    here.turn()
    other.turn()
    assert clock.slept == pytest.approx([0.0, 2.0, 0.5, 0.0])
    # A clock that was set back holds nobody up for longer than one turn.
    clock.now -= 10_000
    there.turn()
    assert clock.slept[-1] == 2.0
    (here.folder / "turn").write_text("spoilt")
    here.turn()
    assert clock.slept[-1] == 0.0
    assert "word" not in "".join(path.read_text() + path.name for path in tmp_path.rglob("*") if path.is_file())


def test_no_more_than_so_many_at_a_time(tmp_path: Path):
    most, inside, waiting = [0], [], []
    lock, full, go = threading.Lock(), threading.Barrier(3), threading.Event()

    def work(number: int) -> None:
        pace = Pace(settings(max_concurrent_calls=2), tmp_path, sleep=lambda seconds: waiting.append(seconds))
        with pace.place():
            with lock:
                inside.append(number)
                most[0] = max(most[0], len(inside))
            if number < 2:
                full.wait()
                go.wait()
            with lock:
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    full.wait()
    threads.append(threading.Thread(target=work, args=(2,)))
    threads[2].start()
    while not waiting:
        threads[2].join(0.01)
    go.set()
    for thread in threads:
        thread.join()
    assert most == [2]
    assert inside == []


def test_without_limits_nothing_is_written_and_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path):
    free = Pace(settings(), tmp_path)
    free.turn()
    with free.place():
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    limited = Pace(settings(calls_per_minute=1, max_concurrent_calls=1), tmp_path / "file")
    with pytest.raises(UsageError, match="leave model"):
        limited.turn()
    with pytest.raises(UsageError, match="make it writable"), limited.place():
        pass
