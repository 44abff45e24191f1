"""What both kinds of items share: which stack is meant, and whose turn it is on it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from vqchaos.stack.local.paths import state_home

NAMED = "vqchaos_named"  # what the controller of xdist tells its workers


@dataclass(frozen=True)
class Wanted:
    """``stack``: a name or a file; ``sets`` as of `vqchaos --set`."""

    stack: str
    sets: tuple[str, ...]
    out: Path
    yes: bool

    @classmethod
    def of(cls, item: pytest.Item) -> Wanted:
        """The command line's, unless the item's mark says otherwise."""
        option = item.config.getoption
        mark = item.get_closest_marker("chaos")
        said = mark.kwargs if mark is not None else {}
        unknown = sorted(set(said) - {"stack", "sets"})
        if unknown or (mark is not None and mark.args):
            raise pytest.UsageError(
                f"{item.nodeid}: expected @pytest.mark.chaos(stack=…, sets=[…])"
            )
        sets = (*option("--chaos-set"), *said.get("sets", ()))
        out = item.config.invocation_params.dir / option("--chaos-out")
        return cls(said.get("stack", option("--chaos-stack")), sets, out, option("--chaos-yes"))


def named(config: pytest.Config) -> set[Path]:
    """The files and folders that the command line names; none where pytest chose them."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:  # a worker of xdist is handed arguments in any case
        return {Path(path) for path in worker.get(NAMED, ())}
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return set()
    return {(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args}


@contextmanager
def turn(stack: str) -> Iterator[None]:
    """One item at a time on a stack, over all workers of xdist; the others wait. A run that is not
    pytest's holds the stack's own lock, and that is an error, not a wait."""
    folder = state_home() / "pytest"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(stack.encode()).hexdigest()[:16]
    fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
