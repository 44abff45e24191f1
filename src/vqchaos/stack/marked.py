"""What of ours may be found in the world by the mark on it: a toxic by its name, a container that
stands in for a server's own by its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

from vqchaos.stack.protocols import ProxyRef, Toxic
from vqchaos.text import one_line


class Marked(Protocol):
    """One such thing, and how it is spoken of."""

    kind: ClassVar[str]  # of a leftover

    @property
    def mark(self) -> str:
        """``vqchaos.RUN.N.DEADLINE``, or whatever else it is called."""

    @property
    def name(self) -> str:
        """As reports name it; no two are named alike."""

    @property
    def detail(self) -> str: ...

    @property
    def what(self) -> str:
        """With its article and its place."""

    @property
    def by_hand(self) -> str:
        """What a person does to it, as a clause."""

    def plainest(self) -> Self:
        """As the plainest fault of its kind would have left it: each of them, of a version that
        knows more types too, is undone like that one."""


@dataclass(frozen=True, slots=True)
class MarkedToxic:
    """A toxic on one of the stack's proxies."""

    kind: ClassVar[str] = "toxic"

    toxic: Toxic
    ref: ProxyRef

    @property
    def mark(self) -> str:
        return self.toxic.name

    @property
    def name(self) -> str:
        return self.ref.toxic_name(self.toxic)

    @property
    def detail(self) -> str:
        return f"{self.toxic.type} on the {self.toxic.stream}"

    @property
    def what(self) -> str:
        return f"a {one_line(self.toxic.type)} on the proxy {self.ref.name}"

    @property
    def by_hand(self) -> str:
        return f"delete the toxic {one_line(self.toxic.name)}"

    def plainest(self) -> Self:
        return replace(self, toxic=replace(self.toxic, type="latency"))


@dataclass(frozen=True, slots=True)
class StandIn:
    """A container in the place of a server's own. ``fault`` is the type of the fault that made it,
    ``scratch`` the folder of its files."""

    kind: ClassVar[str] = "container"

    name: str
    mark: str
    token: str
    fault: str
    replica: int
    scratch: str

    @property
    def detail(self) -> str:
        return f"stands in for server {self.replica}"

    @property
    def what(self) -> str:
        return f"a {one_line(self.fault, 60)} on server {self.replica} ({self.name})"

    @property
    def by_hand(self) -> str:
        return f"`docker rm -f {self.name}` and `docker start` the server's own container"

    def plainest(self) -> Self:
        return replace(self, fault="port_conflict")
