"""What of the local stack must be after a run as it was before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vqchaos.stack import readers
from vqchaos.stack.inventory import NOT_YET, Inventory, Thing
from vqchaos.stack.local.control import LocalServer
from vqchaos.stack.local.paths import StackPaths
from vqchaos.stack.local.processes import ROLES, LocalProcesses
from vqchaos.stack.local.supervisor import Supervisor
from vqchaos.stack.protocols import ProxyControl, ProxyRef

_HOST = "127.0.0.1"


def take(
    paths: StackPaths,
    model: Path | None,
    links: Sequence[ProxyRef],
    proxy_called: Callable[[str], ProxyControl],
    processes: LocalProcesses | None,
    server: LocalServer | None,
    supervisor: Supervisor,
    before: Inventory | None,
) -> Inventory:
    """Everything there is; what belongs to a server only if the stack was ever up."""
    found = Inventory()
    folders = [paths.state, paths.runtime]
    if model is not None:
        folders.append(model)
        readers.look_at_files(found, model, before)
    found.look("mount", lambda: readers.mounts(folders))
    found.look("gpu", readers.gpus)
    readers.look_at_proxies(found, links, proxy_called)
    if processes is not None and server is not None:
        pids = {role: [ref.pid for ref in processes.find(role)] for role in ROLES}
        launcher = supervisor.pid_of("launcher")
        pids["launcher"] = [] if launcher is None else [launcher]
        found.look("cgroup", lambda: readers.cgroups(pids))
        off = any(thing.value == "off" for thing in found.of("proxy"))
        found.look("port", lambda: _ports(paths, server, pids, off=off))
    return found


def _ports(
    paths: StackPaths, server: LocalServer, pids: dict[str, list[int]], *, off: bool
) -> list[Thing]:
    """A proxy that is off has closed its port: that is our doing, not the stack's."""
    numbers = paths.ports()
    wanted = {
        (_HOST, numbers.server): False,
        (_HOST, numbers.proxy): off,
        (_HOST, numbers.proxy_api): False,
    }
    names = {"server": "the server", "proxy": "toxiproxy"}
    owners = {pid: name for role, name in names.items() for pid in pids[role]}
    things = readers.ports(wanted, owners)
    # One that loads does not listen yet, and one that waits is about to be started.
    if things[0].value == "nobody" and server.attempt().state in ("running", "waiting"):
        things[0] = Thing(things[0].kind, things[0].name, NOT_YET, ours=False)
    return things
