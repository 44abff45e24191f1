"""``proxy_down``: the way to the server is gone, by disabling the proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.errors import FaultError
from vqchaos.faults._proxy import (
    RESTARTED,
    UNTIMED,
    ProxyFault,
    each,
    proxies,
    removed,
    where,
)
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.marked import Marked, MarkedToxic
from vqchaos.stack.protocols import ProxyControl, ProxyRef, Toxic


class ProxyDown(ProxyFault):
    """Disables the proxy: live connections are closed, new ones refused. A toxic that does nothing
    (``noop``) is its mark there: whoever finds it knows why the proxy is off, and until when."""

    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Closes the proxy: live connections are cut, new ones refused."
    graceful: ClassVar[str] = "Clients are refused at once, none hangs; all is well right after."
    undo: ClassVar[str] = "enable it again, remove the mark"

    type: Literal["proxy_down"]

    def plan(self, world: World) -> list[str]:
        _require_on(world, self._planned(world))
        return [
            f"mark the proxy{self._place(world, ':')}, and disable it",
            f"undo: {self.undo}",
        ]

    def capture(self, world: World, ticket: Ticket) -> State:
        refs = self._pick(world, ticket.seed)
        _require_on(world, refs)
        return {
            "proxies": [ref.name for ref in refs],
            "enabled": True,  # 0.1 took on a proxy that was off, too
            "mark": ticket.mark,
            "token": ticket.token,
        }

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        marked = proxies(world, state)
        for proxy in marked:
            proxy.add(Toxic(state["mark"], "noop", "downstream", 1.0, {}))
        effect()
        for proxy in marked:
            proxy.set_enabled(False)

    def verify(self, world: World, state: State) -> Verification:
        if any(proxy.enabled() for proxy in proxies(world, state)):
            return Verification("no", "the proxy is still enabled")
        if self.link != "client-router":
            return Verification("yes", f"the proxy is off; {UNTIMED}")
        took = world.proxy.timed_connect(timeout=1.0)
        if took is not None:
            return Verification("no", "a request still went through")
        return Verification("yes", "the proxy is off, and a request was refused")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        def undo(proxy: ProxyControl) -> str:
            if proxy.revive():
                proxy.set_enabled(state["enabled"])
                return RESTARTED
            if not proxy.exists():
                return "the proxy is gone; there is nothing to enable"
            if state["enabled"]:
                proxy.set_enabled(True)
            note = removed(proxy, state["mark"])
            return note if state["enabled"] else "the proxy was off before the run; it stays off"

        return each(world, state, undo)

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        there = [proxy for proxy in proxies(world, state) if proxy.exists()]
        if not there:
            return Verification("yes", "the proxy is gone")
        if state["enabled"] and not all(proxy.enabled() for proxy in there):
            return Verification("no", "the proxy is not as it was before")
        if any(toxic.name == state["mark"] for proxy in there for toxic in proxy.toxics()):
            return Verification("no", "the proxy is as before, but for the mark on it")
        return Verification("yes", "the proxy is as it was before")

    @classmethod
    def from_mark(cls, thing: Marked) -> State | None:
        if not isinstance(thing, MarkedToxic) or thing.toxic.type != "noop":
            return None
        return {"proxies": [thing.ref.name], "enabled": True, "mark": thing.mark}

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [f"enable {where(state)} (toxiproxy-cli toggle)"] if state["enabled"] else []


def _require_on(world: World, refs: list[ProxyRef]) -> None:
    if not all(world.proxy_called(ref.name).enabled() for ref in refs):
        raise FaultError("the proxy is off already", hint="enable it, or `vqchaos down` and up")
