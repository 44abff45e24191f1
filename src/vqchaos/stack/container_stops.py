"""A stop of a container whose asker died: Docker goes on with it all the same."""

from __future__ import annotations

from collections.abc import Callable

from vqchaos.clock import Clock, wait_until

MARGIN = 10.0  # seconds from SIGKILL until Docker says that it ended
_ON_ITS_WAY = 1.0  # seconds in which a stop that was asked for sends its signal


def let_end(
    ended: Callable[[], bool], signalled: Callable[[], bool], clock: Clock, seconds: float
) -> None:
    """Wait, at most so many seconds, for a stop that may be under way: to call its container fine
    now is to find it ended later. Where no signal was sent to it in the first second, none is."""
    sent = False
    give_up = clock.now() + min(_ON_ITS_WAY, seconds)

    def over() -> bool:
        nonlocal sent
        if ended():
            return True
        sent = sent or signalled()
        return not sent and clock.now() >= give_up

    wait_until(over, max(0.0, seconds), clock, every=0.1)
