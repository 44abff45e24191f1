"""Where a role's replicas run: the container of Compose's own, and what stands in for it. Found by
project, service and number, as a container that somebody made anew has another id. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.stack.docker.facts import NUMBER, ONEOFF, SERVICE, name_of
from vqchaos.stack.docker.sibling import STANDS_FOR
from vqchaos.text import one_line

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One replica's. ``stand_ins``: the newest first; as the daemon lists them, beside them."""

    replica: int
    number: int  # Compose's, within the service
    own: ContainerRef | None
    stand_ins: tuple[tuple[ContainerRef, Info], ...]

    @property
    def now(self) -> ContainerRef:
        """What runs there, or would."""
        ref = self.stand_ins[0][0] if self.stand_ins else self.own
        assert ref is not None  # there is no place without a container
        return ref


def places(listed: Sequence[Info], role: str, services: Sequence[str]) -> list[Place]:
    """The role's, of a listing of the project, by service and number; replicas are counted over
    all of the role's services. Other one-offs (`docker compose run`) are nobody's replica."""
    found: dict[tuple[int, int], tuple[list[Info], list[Info]]] = {}
    for container in listed:
        labels = container["Labels"]
        service, number = labels.get(SERVICE), labels.get(NUMBER, "")
        side = _side(labels)
        if service in services and side is not None:
            key = (services.index(service), int(number) if number.isdigit() else 0)
            found.setdefault(key, ([], []))[side].append(container)
    out = []
    for replica, (key, (own, others)) in enumerate(sorted(found.items(), key=lambda f: f[0]), 1):
        service = services[key[0]]
        refs = [_ref(each, role, service, replica) for each in own]
        stand_ins = [(_ref(each, role, service, replica), each) for each in others]
        out.append(Place(replica, key[1], refs[0] if refs else None, tuple(stand_ins)))
    return out


def ours(labels: Mapping[str, str]) -> bool:
    """Is it a service's own container, or one of ours in its place?"""
    return _side(labels) is not None


def _side(labels: Mapping[str, str]) -> int | None:
    """0: Compose's own; 1: stands in; None: another one-off."""
    if labels.get(ONEOFF, "False") != "True":
        return 0
    return 1 if STANDS_FOR in labels else None


def _ref(container: Info, role: str, service: str, replica: int) -> ContainerRef:
    return ContainerRef(container["Id"], one_line(name_of(container)), role, service, replica)
