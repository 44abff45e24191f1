"""``up``, ``down`` and ``status`` of a stack of any kind that vqchaos may run."""

from __future__ import annotations

from vqchaos.errors import UsageError
from vqchaos.stack.docker import lifecycle as docker
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.local import down as local_down
from vqchaos.stack.local import up as local_up
from vqchaos.stack.local.engine_env import Progress
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.protocols import Item, Stack
from vqchaos.stack.status import StackStatus


def up(stack: Stack, progress: Progress, *, engine_python: str | None = None) -> None:
    """Returns when it serves a token. Raises UsageError if somebody else runs it."""
    if isinstance(stack, LocalStack):
        local_up.up(stack, progress, engine_python=engine_python)
    elif isinstance(stack, DockerStack):
        docker.up(stack, progress)
    else:
        raise _not_ours(stack)


def down(
    stack: Stack, progress: Progress, *, force: bool = False, volumes: bool = False
) -> list[Item]:
    """Nothing of it is left but what this returns: what is not ours in a Docker project.

    Raises UsageError if somebody else runs it, or if ``volumes`` is asked of a local stack.
    """
    if isinstance(stack, LocalStack):
        if volumes:
            raise UsageError(f"stack '{stack.name}' is local: it has no volumes")
        local_down.down(stack, progress, force=force)
        return []
    if isinstance(stack, DockerStack):
        return docker.down(stack, progress, force=force, volumes=volumes)
    raise _not_ours(stack)


def status(stack: Stack) -> StackStatus:
    """Changes nothing. Raises UsageError for a kind that cannot say."""
    if isinstance(stack, LocalStack):
        return local_up.status(stack)
    if isinstance(stack, DockerStack):
        return docker.status(stack)
    raise _not_ours(stack)


def _not_ours(stack: Stack) -> UsageError:
    return UsageError(
        f"stack '{stack.name}' is of kind {stack.kind}: vqchaos does not run it",
        hint="up, down and status are for local and Docker stacks",
    )
