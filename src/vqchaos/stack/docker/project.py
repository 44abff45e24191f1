"""What of a Compose project is on the daemon: what `down` has to take, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from vqchaos.stack.docker import facts
from vqchaos.stack.docker.sibling import STANDS_FOR
from vqchaos.stack.protocols import Item
from vqchaos.text import one_line

if TYPE_CHECKING:
    from vqchaos.stack.docker.client import Docker

_OURS = "io.vqchaos."  # what a label of ours begins with


class ProjectThings:
    """Containers, networks and volumes that carry the project's label."""

    def __init__(self, docker: Docker, project: str) -> None:
        self._docker = docker
        self._filters = {"label": f"{facts.PROJECT}={project}"}

    def look(
        self, services: Collection[str], *, volumes: bool = False
    ) -> tuple[list[Item], list[Item]]:
        """What `down` takes: the containers of the ``services`` and with labels of ours, networks
        that nobody else is on, volumes with labels of ours (with ``volumes``: all). And the
        rest."""
        ours: list[Item] = []
        others: list[Item] = []
        used: set[str] = set()  # networks that strangers are on, also those that do not run
        for container in self._containers():
            labels = container["Labels"] or {}
            mine = labels.get(facts.SERVICE) in services or _labelled(labels)
            item = Item(
                "container", one_line(facts.name_of(container)), one_line(container["State"])
            )
            (ours if mine else others).append(item)
            if not mine:
                used |= set((container.get("NetworkSettings") or {}).get("Networks") or {})
        for network in self._networks():
            kept = network["Name"] in used
            (others if kept else ours).append(Item("network", one_line(network["Name"])))
        for volume in self._volumes():
            mine = volumes or _labelled(volume.get("Labels") or {})
            (ours if mine else others).append(Item("volume", one_line(volume["Name"])))
        return ours, others

    def remove_stand_ins(self) -> None:
        """The containers that start-up faults put in servers' places; with their own volumes."""
        api = self._docker.api
        for container in self._containers():
            if STANDS_FOR in (container["Labels"] or {}):
                remove = partial(api.remove_container, container["Id"], force=True, v=True)
                self._forgiving(remove, facts.name_of(container))

    def remove_volumes(self) -> None:
        """Those with labels of ours."""
        api = self._docker.api
        for volume in self._volumes():
            if _labelled(volume.get("Labels") or {}):
                self._docker.call(partial(api.remove_volume, volume["Name"]), volume["Name"])

    def _forgiving(self, work: Callable[[], object], name: str) -> None:
        from vqchaos.stack.docker.client import Gone  # noqa: PLC0415 (imports docker-py)

        try:
            self._docker.call(work, name)
        except Gone:
            return

    def _containers(self) -> list[Mapping[str, Any]]:
        api = self._docker.api
        found: list[Mapping[str, Any]] = self._docker.call(
            lambda: api.containers(all=True, filters=self._filters)
        )
        return found

    def _networks(self) -> list[Mapping[str, Any]]:
        api = self._docker.api
        found: list[Mapping[str, Any]] = self._docker.call(
            lambda: api.networks(filters=self._filters)
        )
        return found

    def _volumes(self) -> list[Mapping[str, Any]]:
        api = self._docker.api
        found = self._docker.call(lambda: api.volumes(filters=self._filters))
        return list(found["Volumes"] or [])


def _labelled(labels: Mapping[str, str]) -> bool:
    return any(name.startswith(_OURS) for name in labels)
