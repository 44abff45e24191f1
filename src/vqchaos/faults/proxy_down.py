"""``proxy_down``: the way to the server is gone, by disabling the proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.errors import FaultError
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability


class ProxyDown(Fault):
    """Disables the proxy: live connections are closed, new ones refused."""

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
        return ["disable the proxy", "undo: enable it again"]

    def capture(self, world: World, ticket: Ticket) -> State:
        if not world.proxy.exists():
            raise FaultError("the proxy is not there", hint="bring the stack up: `vqchaos up`")
        return {"enabled": world.proxy.enabled(), "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        if not state["enabled"]:
            raise FaultError("the proxy is off already")
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
        if not world.proxy.exists():
            return "the proxy is gone; there is nothing to enable"
        if not state["enabled"]:
            return "the proxy was off before the run; it stays off"
        world.proxy.set_enabled(True)
        return ""

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        if not world.proxy.exists():
            return Verification("yes", "the proxy is gone")
        if world.proxy.enabled() != state["enabled"]:
            return Verification("no", "the proxy is not as it was before")
        return Verification("yes", "the proxy is as it was before")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return ["enable the stack's proxy (toxiproxy-cli toggle)"] if state["enabled"] else []
