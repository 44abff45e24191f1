"""``latency``: every answer is late, by Toxiproxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.faults._proxy import UNTIMED, ProxyFault, each, proxies, take_off, where
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.marked import Marked, MarkedToxic
from vqchaos.stack.protocols import Toxic
from vqchaos.units import Duration, Share, format_duration


class Latency(ProxyFault):
    """Delays what passes the proxy. Toxiproxy delays each chunk against its own arrival: the time
    to the first token moves, the time between tokens does not (``jitter`` moves both)."""

    summary: ClassVar[str] = "Delays what passes the proxy on the way to the server or a replica."
    graceful: ClassVar[str] = "Answers come later by about the delay; none fails."
    undo: ClassVar[str] = "remove that toxic, no other"

    type: Literal["latency"]
    latency: Duration = Field(description="The delay of each chunk, whole milliseconds")
    jitter: Duration = Field(default=0.0, description="Up to so much more or less, at random")
    stream: Literal["downstream", "upstream"] = Field(
        default="downstream", description="downstream delays answers, upstream requests"
    )
    toxicity: Share = Field(default=1.0, description="Share of the connections that are hit")

    def _toxic(self, mark: str) -> Toxic:
        attributes = {"latency": round(self.latency * 1000), "jitter": round(self.jitter * 1000)}
        return Toxic(mark, "latency", self.stream, self.toxicity, attributes)

    def target_name(self) -> str | None:
        return f"{super().target_name()}, {self.stream}"

    def plan(self, world: World) -> list[str]:
        self._planned(world)
        delay = format_duration(self.latency)
        return [
            f"add a toxic: {delay} on the {self.stream}{self._place(world, ' of')}",
            f"undo: {self.undo}",
        ]

    def capture(self, world: World, ticket: Ticket) -> State:
        names = [ref.name for ref in self._pick(world, ticket.seed)]
        return {"proxies": names, "toxic": ticket.mark, "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        for proxy in proxies(world, state):
            proxy.add(self._toxic(state["toxic"]))

    def verify(self, world: World, state: State) -> Verification:
        wanted = self._toxic(state["toxic"])
        for proxy in proxies(world, state):
            found = next((t for t in proxy.toxics() if t.name == wanted.name), None)
            if found is None:
                return Verification("no", "the proxy does not list the toxic")
            if dict(found.attributes) != dict(wanted.attributes) or found.stream != wanted.stream:
                return Verification("no", f"the proxy lists it otherwise: {dict(found.attributes)}")
        if self.link != "client-router":
            return Verification("yes", f"the proxy lists the toxic; {UNTIMED}")
        least = max(0.0, self.latency - self.jitter)
        took = world.proxy.timed_connect(timeout=self.latency + self.jitter + 5.0)
        if took is None:
            return Verification("yes", "the proxy lists the toxic; a request got no answer")
        if self.toxicity == 1.0 and took < 0.9 * least:
            return Verification("no", f"an exchange took only {format_duration(took)}")
        return Verification("yes", f"an exchange through the proxy took {format_duration(took)}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return each(world, state, lambda proxy: take_off(proxy, state["toxic"]))

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        there = [proxy for proxy in proxies(world, state) if proxy.exists()]
        if not there:
            return Verification("yes", "the proxy is gone, and its toxics with it")
        if any(t.name == state["toxic"] for proxy in there for t in proxy.toxics()):
            return Verification("no", "the proxy still lists the toxic")
        return Verification("yes", "the proxy lists it no more")

    @classmethod
    def from_mark(cls, thing: Marked) -> State | None:
        if not isinstance(thing, MarkedToxic) or thing.toxic.type != "latency":
            return None
        return {"proxies": [thing.ref.name], "toxic": thing.mark}

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [f"delete the toxic {state['toxic']} from {where(state)} (toxiproxy-cli toxic)"]
