"""Brings a Compose project up and down, and says how it is."""

from __future__ import annotations

import contextlib
import shutil
from typing import Any

import psutil

from vqchaos.errors import StackError, StackUnhealthy, UncleanError
from vqchaos.ledger import Ledger
from vqchaos.stack.docker.compose import Compose
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers
from vqchaos.stack.local.engine_env import Progress
from vqchaos.stack.protocols import Item
from vqchaos.stack.status import StackStatus, answer_token
from vqchaos.units import format_duration

START_LIMIT = 1800.0  # seconds; a large model on a GPU takes minutes
_TOKEN_TIMEOUT = 30.0


def up(stack: DockerStack, progress: Progress, *, timeout: float = START_LIMIT) -> None:
    """Bring the project up, or find it up; returns when it serves a token. Idempotent: Compose
    leaves what is as it should be alone.

    Raises StackUnhealthy if nothing is served within ``timeout`` seconds; StackError with Compose's
    words if it fails.
    """
    compose = Compose.of(stack.file, stack.path)
    stack.docker.version()  # who cannot be talked to is told in our words, not in Compose's
    stack.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    progress.step(f"docker compose up: project {compose.project}")
    compose.up(progress.detail)
    began = stack.clock.now()
    progress.step("waiting for the first token")
    while not answer_token(stack.endpoints, _TOKEN_TIMEOUT):
        waited = stack.clock.now() - began
        if waited > timeout:
            raise StackUnhealthy(
                f"no token within {format_duration(timeout)}; containers: {_containers(stack)}",
                hint=f"docker compose -p {compose.project} logs",
            )
        progress.detail(_containers(stack))
        stack.clock.sleep(0.5)
    took = format_duration(stack.clock.now() - began)
    progress.step(f"serving {stack.file.model} at {stack.endpoints.client_url}/v1, {took} later")


def down(
    stack: DockerStack, progress: Progress, *, force: bool = False, volumes: bool = False
) -> list[Item]:
    """Containers and networks of the files' services, and whatever carries a label of ours; with
    ``volumes`` the project's volumes too. Idempotent. Returns what of the project is left alone.

    Raises UncleanError if faults are in force, unless ``force``; StackError if something stays.
    """
    ledger = Ledger(stack.state_dir)
    in_force = ledger.in_force()
    if in_force and not force:
        names = ", ".join(entry.fault for entry in in_force)
        raise UncleanError(
            f"faults are in force on {stack.name}: {names}",
            hint="`vqchaos heal` reverts them; `vqchaos down --force` does not care",
        )
    compose = Compose.of(stack.file, stack.path)
    stack.docker.version()
    progress.step(f"docker compose down: project {compose.project}")
    services = compose.services().union(*stack.file.services.by_role().values())
    things = stack.things
    things.remove_stand_ins()
    failed: StackError | None = None
    try:
        compose.down(progress.detail, volumes=volumes)
    except StackError as error:  # 1.29 fails on a network that somebody else's container is on
        failed = error
    things.remove_volumes()
    left, others = things.look(services, volumes=volumes)
    if left:
        named = ", ".join(f"{item.kind} {item.name}" for item in left[:8])
        raise failed or StackError(
            f"still there after down: {named}", hint="run `vqchaos down` again"
        )
    _end_what_is_here(stack, {str(e.state["token"]) for e in in_force if "token" in e.state})
    for entry in in_force:
        ledger.undone(entry.id, "forgotten by `down --force`: the stack is gone")
    return others


def _end_what_is_here(stack: DockerStack, tokens: set[str]) -> None:
    """What faults left on this machine itself: a held port, copies of a model."""
    for process in carriers(TOKEN_VARIABLE, tokens):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(stack.state_dir / "scratch", ignore_errors=True)


def status(stack: DockerStack, *, token_timeout: float = 10.0) -> StackStatus:
    """How the stack is now; changes nothing. Asks for one token."""
    containers = _facts(stack)
    running = [item for item in containers if item["status"] == "running"]
    served = bool(running) and answer_token(stack.endpoints, token_timeout)
    if served:
        state, why = "serving", ""
    elif not containers:
        state, why = "down", ""
    else:
        starting = any(i["health"] == "starting" or i["status"] == "restarting" for i in containers)
        state, why = ("starting" if starting else "broken"), _containers(stack)
    ends = stack.endpoints
    return StackStatus(
        name=stack.name,
        kind=stack.kind,
        state=state,
        why=why,
        urls={
            "client": ends.client_url,
            "direct": ends.direct_url,
            **({"proxy_api": stack.file.proxy_api} if stack.file.proxy_api else {}),
        },
        containers=containers,
        versions={"docker": stack.docker.version()},
        faults_in_force=[entry.fault for entry in Ledger(stack.state_dir).in_force()],
        state_dir=str(stack.state_dir),
    )


def _facts(stack: DockerStack) -> list[dict[str, Any]]:
    found = []
    for role in stack.file.services.by_role():
        for ref in stack.containers.find(role):
            state = stack.containers.state(ref)
            found.append(
                {
                    "role": role,
                    "replica": ref.replica,
                    "name": ref.name,
                    "status": state.status,
                    "health": state.health,
                    "restarts": state.restarts,
                    "pid": state.pid,
                }
            )
    return found


def _containers(stack: DockerStack) -> str:
    parts = []
    for item in _facts(stack):
        health = f", {item['health']}" if item["health"] else ""
        parts.append(f"{item['name']} {item['status']}{health}")
    return "; ".join(parts) or "none"
