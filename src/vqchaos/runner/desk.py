"""What a live runner does when another terminal asks: stop, or put a word into the history."""

from __future__ import annotations

from typing import Any

from vqchaos.history.events import FaultInjected, Note
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.run import Run
from vqchaos.text import one_line

_TEXT = 500  # characters of a note


class Desk:
    """Handles the requests that ``control`` brings; called from its thread."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self.run: Run | None = None  # the one that is made now

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self.run.folder.name if self.run is not None else None
        match request.get("do"):
            case "abort":
                self._interrupts.abort("aborted from another terminal")
                return {"ok": True, "run": name}
            case "mark":
                text = one_line(str(request.get("text", "")), _TEXT)
                return self._mark(text, now=bool(request.get("now")))
            case other:
                return {"ok": False, "error": f"unknown request {other!r}"}

    def note(self, text: str, at: float | None = None) -> bool:
        """What a person said, now or at that monotonic second; False if no run takes it, or this
        one began later."""
        run = self.run
        rec = run.recorder if run is not None else None
        if rec is None:
            return False
        if at is not None and at < rec.origin:
            return False
        t = rec.t() if at is None else at - rec.origin
        rec.emit(Note(t=t, text=one_line(text, _TEXT), source="person"))
        return True

    def _mark(self, text: str, *, now: bool) -> dict[str, Any]:
        run = self.run
        rec = run.recorder if run is not None else None
        if run is None or rec is None:
            return {"ok": False, "error": "no run is being made at this moment"}
        if not now:
            self.note(text)
            rec.progress.said(f"mark: {text}", rec.t())
            return {"ok": True, "run": run.folder.name, "t": rec.t()}
        faults = [f for f in run.experiment.faults if f.type == "external"]
        if not faults:
            return {"ok": False, "error": "this experiment has no fault of type external"}
        if rec.phase != "fault":
            return {"ok": False, "error": f"the fault phase is not on (it is {rec.phase})"}
        name = faults[0].name or faults[0].type
        by = f"a person: {text}" if text else "a person"
        rec.emit(FaultInjected(t=rec.t(), fault=name, by=by))
        rec.progress.said(f"{name} is now, says {by}", rec.t())
        return {"ok": True, "run": run.folder.name, "t": rec.t()}
