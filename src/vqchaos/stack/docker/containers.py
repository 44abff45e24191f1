"""The containers of one Compose project, found by Compose's labels, driven through docker-py.

Docker refuses much of what is so already (a pause of a paused one, a disconnect of one that is not
connected), with 409 or with 500. So each call looks before, and again when it was refused: what the
container then is decides, not the answer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vqchaos.errors import CapabilityMissing, StackError
from vqchaos.stack.container_protocols import (
    Attachment,
    ContainerRef,
    ContainerState,
    DaemonRef,
    Limits,
    MemoryUse,
)
from vqchaos.stack.docker import cgroup, facts
from vqchaos.stack.docker.host import kill_first
from vqchaos.stack.docker.places import Place, places
from vqchaos.text import one_line

if TYPE_CHECKING:
    from vqchaos.stack.docker.address import Address
    from vqchaos.stack.docker.client import Docker

_ID = re.compile(r"[0-9a-f]{64}")
# By the shell alone: its first child is the program of an `init: true` container. The kernel ends
# that line without a newline, so that `read` fails even where it has read.
_KILL_CHILD = (
    'read -r child rest < /proc/1/task/1/children; [ -n "$child" ] || exit 3; kill -9 "$child"'
)
_NO_CHILD = 3
_EXEC_TIME = 5.0
_NOT_HERE = {
    "elsewhere": "the daemon's processes are not of this machine (a virtual machine?)",
    "forbidden": "its first process belongs to another user, and this one may not kill it",
}
Info = Mapping[str, Any]


class DockerContainers:
    """Implements ``protocols.ContainerControl``. ``services``: role → the Compose services that
    play it, in the order in which replicas are counted. Raises StackError if there is no daemon;
    ``docker`` is for tests; ``at`` as for ``Docker``."""

    def __init__(
        self,
        project: str,
        services: Mapping[str, Sequence[str]],
        docker: Docker | None = None,
        *,
        at: Address | None = None,
    ) -> None:
        # Late: docker-py and requests are slow to import, and few commands need them.
        from vqchaos.stack.docker import client, inside  # noqa: PLC0415

        self._project = project
        self._services = services
        self._docker = docker or client.Docker(at=at)
        self._inside = inside.Inside(self._docker)
        self._refuse_missing = inside.refuse_missing
        self._refused, self._gone = client.Refused, client.Gone

    @property
    def daemon(self) -> Docker:
        """The one client, for who changes more than the protocol does."""
        return self._docker

    # ------------------------------------------------------------ looking

    def find(self, role: str) -> list[ContainerRef]:
        return [place.now for place in self.places(role)]

    def places(self, role: str) -> list[Place]:
        """Where the role's replicas run, and who stands in for whom."""
        labels = [f"{facts.PROJECT}={self._project}"]
        # One request: docker-py's own list() looks at each, and fails if one is removed meanwhile.
        listed = self._docker.call(
            lambda: self._docker.api.containers(all=True, filters={"label": labels})
        )
        return places(listed, role, list(self._services.get(role, ())))

    def state(self, ref: ContainerRef) -> ContainerState:
        try:
            return facts.state(self._inspect(ref), local=self._docker.local)
        except self._gone:
            return ContainerState("gone")

    def attachments(self, ref: ContainerRef) -> list[Attachment]:
        return facts.attachments(self._inspect(ref))

    def limits(self, ref: ContainerRef) -> Limits:
        return facts.limits(self._inspect(ref))

    def memory(self, ref: ContainerRef) -> MemoryUse:
        if not self._docker.local:
            raise CapabilityMissing(
                f"{ref.name}: the memory of containers on another machine cannot be read",
                hint="run vqchaos on the machine of the Docker daemon",
            )
        pid = self.state(ref).pid
        if pid is None:
            raise StackError(f"{ref.name} does not run: it has no memory")
        if not cgroup.holds(pid, ref.id):
            raise CapabilityMissing(f"{ref.name}: {_NOT_HERE['elsewhere']}: its memory is unknown")
        return cgroup.memory(pid, ref.id)

    def ooms(self, ref: ContainerRef, since: float) -> int:
        return self._events(ref, "oom", since, time.time())

    def signalled(self, ref: ContainerRef, within: float) -> bool:
        info = self._docker.call(self._docker.api.info, ref.name)
        now = facts.moment(info["SystemTime"]) or time.time()  # by the daemon's own clock
        began = self.state(ref).started or 0.0
        return self._events(ref, "kill", max(now - within, began), now) > 0

    def _events(self, ref: ContainerRef, kind: str, since: float, until: float) -> int:
        filters = json.dumps({"container": [ref.id], "event": [kind]})
        window = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": filters}
        api = self._docker.api
        text = self._docker.call(
            lambda: api._result(api._get(api._url("/events"), params=window)),  # noqa: SLF001
            ref.name,
        )  # docker-py's own events() has neither a timeout nor fractions of a second
        return len([line for line in text.splitlines() if line.strip()])

    def identity(self) -> DaemonRef | None:
        """Which daemon this is; None where it has no id. Up to Docker 23 all daemons of a machine
        have the same (its key file's): their data folders tell them apart."""
        info = self._docker.call(self._docker.api.info)
        if not info.get("ID"):
            return None
        found = one_line(f"{info['ID']} {info.get('DockerRootDir', '')}".rstrip(), 400)
        return DaemonRef(found, self._docker.host)

    def version(self) -> str:
        """The daemon's own version."""
        return one_line(self._docker.call(self._docker.api.version)["Version"], 60)

    # ------------------------------------------------------------ life and death

    def crash(self, ref: ContainerRef) -> None:
        info = self._inspect(ref)
        before = info["State"]
        if before["Status"] != "running":
            raise StackError(f"{ref.name} is {one_line(before['Status'])}: it cannot crash")
        why = f"the Docker daemon is on another machine ({one_line(self._docker.host, 100)})"
        if self._docker.local:
            outcome = kill_first(before["Pid"], ref.id, lambda: self._same_start(ref, before))
            if outcome == "killed":
                return
            if outcome == "gone":
                raise StackError(f"{ref.name} ended before it could be killed")
            why = _NOT_HERE[outcome]
        if not info["HostConfig"].get("Init"):
            raise CapabilityMissing(
                f"{ref.name} cannot be crashed: {why}, and it has no init whose child could be "
                "killed from inside",
                hint="`init: true` for the service in the Compose file, or vqchaos as root on the "
                "daemon's machine; `via: docker` kills it, and Docker will not start it again",
            )
        # The exit code proves nothing: the shell may die with the container. A new start does.
        command = ["/bin/sh", "-c", _KILL_CHILD]
        code, said = self._inside.run(ref.id, ref.name, command, _EXEC_TIME, {})
        self._refuse_missing(ref.name, command, code, said)
        if code == _NO_CHILD:
            raise StackError(f"{ref.name} could not be crashed: its init has no child to be seen")

    def _same_start(self, ref: ContainerRef, before: Info) -> bool:
        now = self._inspect(ref)["State"]
        return all(now[key] == before[key] for key in ("Pid", "StartedAt", "Status"))

    def kill(self, ref: ContainerRef, signum: int) -> None:
        self._until(ref, _ended, lambda api: api.kill(ref.id, signum))

    def stop(self, ref: ContainerRef, grace: float) -> None:
        self._until(ref, _ended, lambda api: api.stop(ref.id, timeout=round(grace)))

    def start(self, ref: ContainerRef) -> None:
        self._until(ref, lambda info: not _ended(info), lambda api: api.start(ref.id))

    def restart(self, ref: ContainerRef, grace: float) -> None:
        self._inspect(ref)
        api = self._docker.api
        self._docker.call(lambda: api.restart(ref.id, timeout=round(grace)), ref.name)

    def pause(self, ref: ContainerRef) -> None:
        self._until(ref, _paused, lambda api: api.pause(ref.id))

    def unpause(self, ref: ContainerRef) -> None:
        self._until(ref, lambda info: not _paused(info), lambda api: api.unpause(ref.id))

    # ------------------------------------------------------------ networks

    def disconnect(self, ref: ContainerRef, network: str) -> None:
        self._until(
            ref,
            lambda info: network not in (info["NetworkSettings"]["Networks"] or {}),
            lambda api: api.disconnect_container_from_network(ref.id, network),
        )

    def connect(self, ref: ContainerRef, attachment: Attachment) -> None:
        def connected(info: Info) -> bool:
            return any(_covers(place, attachment) for place in facts.attachments(info))

        if connected(self._inspect(ref)):
            return
        self.disconnect(ref, attachment.network)  # an attachment with less is replaced
        links = dict(link.split(":", 1) for link in attachment.links)
        self._until(
            ref,
            connected,
            lambda api: api.connect_container_to_network(
                ref.id,
                attachment.network,
                aliases=list(attachment.aliases),
                ipv4_address=attachment.ipv4,
                ipv6_address=attachment.ipv6,
                links=links or None,
            ),
        )

    # ------------------------------------------------------------ limits

    def set_limits(self, ref: ContainerRef, limits: Limits) -> None:
        info = self._inspect(ref)
        now = facts.limits(info)
        if (limits.memory, limits.swap) != (now.memory, now.swap):
            self._first_that_works(ref, facts.memory_change(limits))
        if limits.cpus != now.cpus:
            self._first_that_works(ref, [facts.cpu_change(info, limits.cpus)])

    def _first_that_works(self, ref: ContainerRef, changes: list[dict[str, int]]) -> None:
        for change in changes[:-1]:
            try:
                return self._update(ref, change)
            except self._refused:
                continue
        return self._update(ref, changes[-1])

    def _update(self, ref: ContainerRef, change: dict[str, int]) -> None:
        api = self._docker.api
        self._docker.call(  # docker-py's own update() lacks NanoCpus
            lambda: api._result(  # noqa: SLF001
                api._post_json(api._url("/containers/{0}/update", ref.id), data=change),  # noqa: SLF001
                True,
            ),
            ref.name,
        )

    # ------------------------------------------------------------ inside

    def run_inside(
        self, ref: ContainerRef, command: Sequence[str], timeout: float, env: Mapping[str, str]
    ) -> tuple[int, str]:
        self._inspect(ref)
        code, said = self._inside.run(ref.id, ref.name, command, timeout, dict(env))
        self._refuse_missing(ref.name, command, code, said)
        return code, said

    def start_inside(
        self, ref: ContainerRef, command: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self._inspect(ref)
        self._inside.start(ref.id, ref.name, command, dict(env))

    def end_inside(self, ref: ContainerRef, token: str) -> int:
        if _ended(self._inspect(ref)):
            return 0
        return self._inside.end(ref.id, ref.name, token)

    # ------------------------------------------------------------ how

    def _inspect(self, ref: ContainerRef) -> dict[str, Any]:
        """What Docker knows of it. Raises StackError if it is gone, or none of this project's."""
        if not _ID.fullmatch(ref.id):
            raise StackError(f"not a container's full id: {one_line(ref.id, 80)}")
        api = self._docker.api
        info: dict[str, Any] = self._docker.call(lambda: api.inspect_container(ref.id), ref.name)
        labels = info["Config"]["Labels"] or {}
        if labels.get(facts.PROJECT) != self._project:
            raise StackError(f"{ref.name} does not belong to the project {self._project}")
        return info

    def _until(
        self, ref: ContainerRef, wanted: Callable[[Info], bool], work: Callable[[Any], object]
    ) -> None:
        """Do it unless it is so already; if Docker refuses, look whether it has become so."""
        if wanted(self._inspect(ref)):
            return
        try:
            self._docker.call(lambda: work(self._docker.api), ref.name)
        except self._refused:
            if not wanted(self._inspect(ref)):
                raise


def _ended(info: Info) -> bool:
    return info["State"]["Status"] in ("created", "exited", "dead", "removing")


def _paused(info: Info) -> bool:
    return bool(info["State"]["Status"] == "paused")


def _covers(place: Attachment, wanted: Attachment) -> bool:
    return (
        place.network == wanted.network
        and set(wanted.aliases) <= set(place.aliases)
        and (wanted.ipv4, wanted.ipv6) == (place.ipv4, place.ipv6)
        and set(wanted.links) <= set(place.links)
    )
