from __future__ import annotations

from vqchaos.clock import ManualClock, wait_until


def test_wait_until_sees_the_condition_and_stops() -> None:
    clock = ManualClock(start=0)
    assert wait_until(lambda: clock.now() >= 1.0, 5.0, clock)
    assert 1.0 <= clock.now() < 1.1


def test_wait_until_gives_up_at_its_timeout() -> None:
    clock = ManualClock(start=0)
    assert not wait_until(lambda: False, 2.0, clock)
    assert 2.0 <= clock.now() < 2.1


def test_wall_time_follows_the_manual_clock() -> None:
    clock = ManualClock(start=5, wall=100)
    clock.sleep(2)
    clock.advance(3)
    assert clock.wall() == 105
