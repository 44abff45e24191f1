"""The world before a run and after it."""

from __future__ import annotations

from vqchaos.history.events import Compared, Note
from vqchaos.runner.recorder import Recorder
from vqchaos.stack.inventory import Inventory, compare
from vqchaos.stack.protocols import Item, Stack


class Comparison:
    """Looks at the stack twice. What goes wrong with that is a note and never ends a run."""

    def __init__(self, stack: Stack, rec: Recorder) -> None:
        self._stack = stack
        self._rec = rec
        self._before: Inventory | None = None
        self._said: set[str] = set()

    def begin(self) -> None:
        """Before anything is injected."""
        try:
            self._before = self._look()
        except Exception as error:
            self._failed(error)

    def differences(self) -> tuple[list[Item], list[Item]]:
        """(leftovers, residue); nothing if there was no look before."""
        if self._before is None:
            return [], []
        try:
            after = self._look()
            both = {k: n for k, n in after.looked_at.items() if k in self._before.looked_at}
            self._rec.emit(Compared(t=self._rec.t(), looked_at=both))
            return compare(self._before, after)
        except Exception as error:
            self._failed(error)
            return [], []

    def _look(self) -> Inventory:
        found = self._stack.inventory(self._before)
        for remark in found.remarks:
            self._note(remark)
        return found

    def _failed(self, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        self._note(f"what is there could not be looked at and is not compared: {what}")

    def _note(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._rec.emit(Note(t=self._rec.t(), text=text))


def unnamed(items: list[Item], named: list[Item]) -> list[Item]:
    """Those of ``items`` that are not named yet."""
    known = {(item.kind, item.name) for item in named}
    return [item for item in items if (item.kind, item.name) not in known]
