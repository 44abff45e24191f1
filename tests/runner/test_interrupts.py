from __future__ import annotations

import os
import signal

import pytest

from vqchaos.errors import ExitCode, Interrupted
from vqchaos.runner.interrupts import SIGNALS, Interrupts


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_in_its_exit_code(number: signal.Signals) -> None:
    interrupts = Interrupts()
    with interrupts.installed():
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as caught:
            interrupts.check()
    assert caught.value.exit_code == ExitCode(128 + number)


def test_a_shield_holds_the_signal_back_until_it_is_over() -> None:
    interrupts = Interrupts()
    with interrupts.shield():
        interrupts.receive(signal.SIGTERM)
        with interrupts.shield():
            interrupts.check()
        interrupts.check()
    with pytest.raises(Interrupted):
        interrupts.check()


def test_the_first_signal_counts_and_the_second_is_told() -> None:
    interrupts = Interrupts()
    heard: list[tuple[int, int]] = []
    interrupts.on_signal = lambda number, count: heard.append((number, count))
    interrupts.receive(signal.SIGTERM)
    interrupts.receive(signal.SIGINT)
    assert interrupts.first == signal.SIGTERM
    assert heard == [(signal.SIGTERM, 1), (signal.SIGINT, 2)]


def test_old_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts().installed():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in SIGNALS] == before
