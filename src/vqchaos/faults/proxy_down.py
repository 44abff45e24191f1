"""``proxy_down``: the way to the server is gone, by disabling the proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.errors import FaultError
from vqchaos.faults._proxy import RESTARTED, take_off
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability, Toxic


class ProxyDown(Fault):
    """Disables the proxy: live connections are closed, new ones refused. A toxic that does nothing
    (``noop``) is its mark there: whoever finds it knows why the proxy is off, and until when."""

    held: ClassVar[bool] = True
    cuts_streams: ClassVar[bool] = True
    family: ClassVar[str] = "network"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROXY})
    summary: ClassVar[str] = "Closes the proxy: live connections are cut, new ones refused."
    graceful: ClassVar[str] = "Clients are refused at once, none hangs; all is well right after."

    type: Literal["proxy_down"]

    def target_name(self) -> str | None:
        return "clients → server"

    def plan(self, world: World) -> list[str]:
        if not world.proxy.exists():
            raise FaultError("the proxy is not there", hint="bring the stack up: `vqchaos up`")
        if not world.proxy.enabled():
            raise FaultError("the proxy is off already", hint="enable it, or `vqchaos down` and up")
        return ["mark the proxy, and disable it", "undo: enable it again, remove the mark"]

    def capture(self, world: World, ticket: Ticket) -> State:
        if not world.proxy.exists():
            raise FaultError("the proxy is not there", hint="bring the stack up: `vqchaos up`")
        return {
            "enabled": world.proxy.enabled(),
            "mark": ticket.mark,
            "token": ticket.token,
        }

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        if not state["enabled"]:
            raise FaultError("the proxy is off already")
        world.proxy.add(Toxic(state["mark"], "noop", "downstream", 1.0, {}))
        effect()
        world.proxy.set_enabled(False)

    def verify(self, world: World, state: State) -> Verification:
        if world.proxy.enabled():
            return Verification("no", "the proxy is still enabled")
        took = world.proxy.timed_connect(timeout=1.0)
        if took is not None:
            return Verification("no", "a request still went through")
        return Verification("yes", "the proxy is off, and a request was refused")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        if world.proxy.revive():
            world.proxy.set_enabled(state["enabled"])
            return RESTARTED
        if not world.proxy.exists():
            return "the proxy is gone; there is nothing to enable"
        if state["enabled"]:
            world.proxy.set_enabled(True)
        note = take_off(world, state["mark"])
        return note if state["enabled"] else "the proxy was off before the run; it stays off"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        if not world.proxy.exists():
            return Verification("yes", "the proxy is gone")
        if world.proxy.enabled() != state["enabled"]:
            return Verification("no", "the proxy is not as it was before")
        if any(toxic.name == state["mark"] for toxic in world.proxy.toxics()):
            return Verification("no", "the proxy is as before, but for the mark on it")
        return Verification("yes", "the proxy is as it was before")

    @classmethod
    def from_mark(cls, toxic: Toxic) -> State | None:
        return {"enabled": True, "mark": toxic.name} if toxic.type == "noop" else None

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return ["enable the stack's proxy (toxiproxy-cli toggle)"] if state["enabled"] else []
