from __future__ import annotations

from vqchaos.load.redact import Redactor


def test_secrets_are_replaced_whole_and_in_part() -> None:
    redact = Redactor(["Bearer sk-12345678"])
    assert redact("got 'Bearer sk-12345678', sk-12345678!") == "got '[redacted]', [redacted]!"
    assert Redactor([])("sk-12345678") == "sk-12345678"
