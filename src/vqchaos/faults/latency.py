"""``latency``: every answer is late, by Toxiproxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.errors import FaultError
from vqchaos.faults._proxy import take_off
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability, Toxic
from vqchaos.units import Duration, Share, format_duration


class Latency(Fault):
    """Delays what passes the proxy. Toxiproxy delays each chunk against its own arrival: the time
    to the first token moves, the time between tokens does not (``jitter`` moves both)."""

    held: ClassVar[bool] = True
    family: ClassVar[str] = "network"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROXY})
    summary: ClassVar[str] = "Delays what passes the proxy between clients and the server."
    graceful: ClassVar[str] = "Answers come later by about the delay; none fails."

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
        return f"clients → server, {self.stream}"

    def plan(self, world: World) -> list[str]:
        if not world.proxy.exists():
            raise FaultError("the proxy is not there", hint="bring the stack up: `vqchaos up`")
        return [
            f"add a toxic: {format_duration(self.latency)} on the {self.stream}",
            "undo: remove that toxic, no other",
        ]

    def capture(self, world: World, ticket: Ticket) -> State:
        if not world.proxy.exists():
            raise FaultError("the proxy is not there", hint="bring the stack up: `vqchaos up`")
        return {"toxic": ticket.mark, "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        world.proxy.add(self._toxic(state["toxic"]))

    def verify(self, world: World, state: State) -> Verification:
        wanted = self._toxic(state["toxic"])
        found = next((t for t in world.proxy.toxics() if t.name == wanted.name), None)
        if found is None:
            return Verification("no", "the proxy does not list the toxic")
        if dict(found.attributes) != dict(wanted.attributes) or found.stream != wanted.stream:
            return Verification("no", f"the proxy lists it otherwise: {dict(found.attributes)}")
        least = max(0.0, self.latency - self.jitter)
        took = world.proxy.timed_connect(timeout=self.latency + self.jitter + 5.0)
        if took is None:
            return Verification("yes", "the proxy lists the toxic; a request got no answer")
        if self.toxicity == 1.0 and took < 0.9 * least:
            return Verification("no", f"an exchange took only {format_duration(took)}")
        return Verification("yes", f"an exchange through the proxy took {format_duration(took)}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return take_off(world, state["toxic"])

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        if not world.proxy.exists():
            return Verification("yes", "the proxy is gone, and its toxics with it")
        if any(t.name == state["toxic"] for t in world.proxy.toxics()):
            return Verification("no", "the proxy still lists the toxic")
        return Verification("yes", "the proxy lists it no more")

    @classmethod
    def from_mark(cls, toxic: Toxic) -> State | None:
        return {"toxic": toxic.name} if toxic.type == "latency" else None

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [f"delete the toxic {state['toxic']} from the stack's proxy (toxiproxy-cli toxic)"]
