"""The fixture's side: faults that a test holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vqchaos.cli.common import open_named_stack
from vqchaos.errors import Interrupted, UsageError
from vqchaos.faults import AnyFault
from vqchaos.faults.base import Fault
from vqchaos.pytest_plugin.turns import Wanted, turn
from vqchaos.runner.by_hand import FaultHolder
from vqchaos.runner.injection import Injection
from vqchaos.stack.protocols import Stack


class Chaos:
    """What the fixture hands out. ``folder`` holds the history of what was done."""

    def __init__(self, holder: FaultHolder) -> None:
        self._holder = holder

    @property
    def stack(self) -> Stack:
        return self._holder.stack

    @property
    def url(self) -> str:
        """Where clients go."""
        return self.stack.endpoints.client_url

    @property
    def folder(self) -> Path:
        assert self._holder.folder is not None
        return self._holder.folder

    def inject(self, fault: Fault | str, /, **settings: Any) -> AbstractContextManager[Injection]:
        """Hold a fault: a model of ``vqchaos.faults``, or a type's name with its settings as in an
        experiment's YAML. Verified inside the block, reverted when it ends.

        Raises UsageError for settings that are wrong.
        """
        return self._held(make(fault, settings) if isinstance(fault, str) else fault)

    @contextmanager
    def _held(self, fault: Fault) -> Iterator[Injection]:
        try:
            with self._holder.inject(fault) as item:
                yield item
        except Interrupted as error:  # reverted by now; no further test may break anything
            pytest.exit(str(error), returncode=int(error.exit_code))


def make(kind: str, settings: dict[str, Any]) -> Fault:
    """A fault of that type, its settings checked as an experiment's are."""
    try:
        return TypeAdapter[Fault](AnyFault).validate_python({"type": kind, **settings})
    except ValidationError as error:
        wrong = "; ".join(
            ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]]))
            for each in error.errors()
        )
        raise UsageError(f"{kind}: {wrong}", hint=f"`vqchaos faults {kind}`") from None


@contextmanager
def holding(item: pytest.Item) -> Iterator[Chaos]:
    """The stack is this item's until the block ends."""
    wanted = Wanted.of(item)
    name = re.sub(r"[^a-z0-9]+", "-", item.name.lower()).strip("-")[:40] or "test"
    stack = open_named_stack(wanted.stack, [*wanted.sets])
    with (
        turn(str(stack.state_dir)),
        FaultHolder(stack, out=wanted.out, name=name, yes=wanted.yes) as holder,
    ):
        item.user_properties.append(("vqchaos_run", str(holder.folder)))
        yield Chaos(holder)
