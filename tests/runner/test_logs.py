"""The stack's logs, kept at the end of a run whatever its end."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from vqchaos.errors import StackError, VqchaosError
from vqchaos.runner import logs
from vqchaos.runner.logs import keep_logs
from vqchaos.stack.protocols import Endpoints, Stack


class Logging:
    """As much of a stack as this needs."""

    endpoints = Endpoints("u", "u", "u", "u", "m", {"Authorization": "Bearer sk-veryverysecret"})

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def keep_logs(self, run: Path, since: float, redact: object) -> list[str]:
        if self.error is not None:
            raise self.error
        assert callable(redact)
        return [f"{run} {since} {redact('the key sk-veryverysecret')}"]


def test_secrets_are_taken_out() -> None:
    stack = cast("Stack", Logging())
    assert keep_logs(stack, Path("r"), 7.0) == ["r 7.0 the key [redacted]"]


@pytest.mark.parametrize(
    "error", [StackError("the daemon\x1b[2J is not running"), OSError("disk full"), ValueError("x")]
)
def test_what_goes_wrong_is_a_remark(error: Exception) -> None:
    [remark] = keep_logs(cast("Stack", Logging(error)), Path("r"), 7.0)
    assert remark.startswith("the logs of the stack were not kept: ")
    assert "\x1b" not in remark


def test_a_key_that_is_not_set_is_a_remark_and_nothing_is_kept() -> None:
    class Keyless(Logging):
        @property
        def endpoints(self) -> Endpoints:  # type: ignore[override]
            raise VqchaosError("names the environment variable KEY, which is not set")

    [remark] = keep_logs(cast("Stack", Keyless()), Path("r"), 7.0)
    assert "KEY" in remark


def test_a_daemon_that_hangs_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    free = Event()

    class Hangs(Logging):
        def keep_logs(self, run: Path, since: float, redact: object) -> list[str]:
            free.wait(60)
            return []

    monkeypatch.setattr(logs, "LIMIT", 0.05)
    [remark] = keep_logs(cast("Stack", Hangs()), Path("r"), 7.0)
    free.set()
    assert "no answer within 50ms" in remark
