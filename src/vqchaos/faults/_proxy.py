"""What the network faults share: which proxies they mean, and taking a toxic off them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator

from vqchaos.errors import FaultError, VqchaosError
from vqchaos.faults._replica import Replica
from vqchaos.faults.base import Fault, State, World
from vqchaos.stack.protocols import Capability, LinkName, ProxyControl, ProxyRef, Removal

RESTARTED = "Toxiproxy's API hung: it was restarted, which cut live connections"
UNTIMED = "its port is inside the network, so that no exchange was timed"
_NOTES: Mapping[Removal, str] = {
    "removed": "",
    "absent": "the toxic was gone already",
    "recreated": "the removal hung: the proxy was made anew, which cut live connections",
    "restarted": RESTARTED,
}


class ProxyFault(Fault):
    """A fault of one link, by its proxies. The state's ``proxies`` are their names; an entry of
    0.1, which knew only the clients' proxy, has none."""

    held: ClassVar[bool] = True
    family: ClassVar[str] = "network"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROXY})

    link: LinkName = Field(
        default="client-router", description="client-router, or router-replica for some replicas"
    )
    replica: Replica | None = Field(
        default=None, description="With router-replica: a number from 1 (default 1), any or all"
    )

    @model_validator(mode="after")
    def _replica_of_a_link(self) -> Self:
        if self.replica is not None and self.link != "router-replica":
            raise ValueError("`replica` goes with `link: router-replica`")
        return self

    @property
    def _which(self) -> int | str:
        return 1 if self.replica is None else self.replica

    def needed(self) -> frozenset[Capability]:
        more = {Capability.REPLICA_LINKS} if self.link == "router-replica" else set()
        return self.needs | more

    def target_name(self) -> str | None:
        if self.link == "client-router":
            return "clients → server"
        which = {"all": "every replica", "any": "any replica"}
        return f"router → {which.get(str(self._which), f'replica {self._which}')}"

    def targets(self, world: World) -> list[str]:
        if self.link == "client-router":
            return []
        found = [str(ref) for ref in self._matching(world)]
        return [f"one of {', '.join(found)}"] if self._which == "any" else found

    def _matching(self, world: World) -> list[ProxyRef]:
        """All that the settings may mean. Raises FaultError if there is none."""
        on_link = [ref for ref in world.links() if ref.link == self.link]
        found = on_link
        if self.link == "router-replica" and isinstance(self._which, int):
            found = [ref for ref in on_link if ref.replica == self._which]
        if found:
            return found
        if not on_link:
            raise FaultError(
                f"the stack has no proxy on the link {self.link}",
                hint=f"name its proxies in the stack's file: `links: {{{self.link}: …}}`",
            )
        there = ", ".join(str(ref) for ref in on_link)
        raise FaultError(f"no proxy leads to replica {self._which}; there is {there}")

    def _pick(self, world: World, seed: int) -> list[ProxyRef]:
        """As ``_matching``; of ``any``, the one that the seed draws. Each of them exists."""
        found = self._matching(world)
        if self._which == "any" and self.link == "router-replica":
            found = [random.Random(seed).choice(found)]
        return require_there(world, found)

    def _planned(self, world: World) -> list[ProxyRef]:
        """All that it may hit; each of them exists."""
        return require_there(world, self._matching(world))

    def _place(self, world: World, before: str) -> str:
        """For a line of the plan: on which proxies, where there is a choice."""
        if self.link == "client-router":
            return ""
        names = ", ".join(str(ref) for ref in self._matching(world))
        return f"{before} one of {names}" if self._which == "any" else f"{before} {names}"


def require_there(world: World, refs: list[ProxyRef]) -> list[ProxyRef]:
    """The same ones. Raises FaultError if Toxiproxy does not have one of them."""
    for ref in refs:
        if not world.proxy_called(ref.name).exists():
            what = "the proxy" if ref.replica is None else f"the proxy {ref.name}"
            raise FaultError(f"{what} is not there", hint="bring the stack up: `vqchaos up`")
    return refs


def proxies(world: World, state: State) -> list[ProxyControl]:
    """Those of a ledger entry."""
    names = state.get("proxies")
    return [world.proxy] if names is None else [world.proxy_called(name) for name in names]


def where(state: State) -> str:
    """Which proxies, for the manual steps."""
    names = state.get("proxies") or []
    return f"Toxiproxy's {', '.join(names)}" if names else "the stack's proxy"


def each(world: World, state: State, undo: Callable[[ProxyControl], str]) -> str:
    """Undo it on each proxy; the notes. Where one fails, the others are undone all the same, and
    then that is raised."""
    notes: list[str] = []
    failed: list[VqchaosError] = []
    for proxy in proxies(world, state):
        try:
            notes.append(undo(proxy))
        except VqchaosError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return "; ".join(dict.fromkeys(note for note in notes if note))


def take_off(proxy: ProxyControl, name: str) -> str:
    """Whatever state the proxy's API is in; a note on how it went, empty if as usual."""
    return RESTARTED if proxy.revive() else removed(proxy, name)


def removed(proxy: ProxyControl, name: str) -> str:
    """As ``take_off``, of one whose API was seen to answer."""
    return _NOTES[proxy.remove(name)]
