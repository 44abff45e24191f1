"""The Compose command: brings a project up and takes it down.

``docker compose`` (v2) where it is, else ``docker-compose`` (1.29 is what Debian 12 has). Nothing
else uses it: containers are found and driven through the daemon's API.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqchaos.errors import CapabilityMissing, StackError, UsageError
from vqchaos.stack.config import DockerStackFile
from vqchaos.stack.docker.address import Address, of_stack
from vqchaos.text import one_line

LIMIT = 1800.0  # seconds; images may have to be pulled
# The last: where a registry cannot be reached, 1.29 names the image and then a URL that failed.
_NO_IMAGE = ("pull access denied", "manifest unknown", "no such image", "pulling ")
_SERVICE = re.compile(r"[a-zA-Z0-9._-]+")
_GRACE = 20  # seconds a server has to stop


@dataclass(frozen=True, slots=True)
class Compose:
    """One project's files and settings."""

    files: Sequence[Path]
    project: str
    profiles: Sequence[str]
    env: dict[str, str]
    at: Address

    @classmethod
    def of(cls, file: DockerStackFile, stack_file: Path) -> Compose:
        """Raises UsageError if somebody else runs the project or a file is not there, or
        names another daemon than the environment does."""
        if file.compose is None:
            raise UsageError(
                f"stack '{file.name}' names no `compose` file: somebody else brings it up and down",
                hint=f"docker compose -p {file.project} up -d; or add `compose: FILE`",
            )
        folder = stack_file.resolve().parent
        files = [(folder / Path(name).expanduser()).resolve() for name in file.compose]
        named = [*files, *([folder / file.env_file] if file.env_file is not None else [])]
        for path in named:
            if not path.is_file():
                raise UsageError(f"{stack_file}: there is no file {path}")
        env = read_env(folder / file.env_file) if file.env_file is not None else {}
        at = of_stack(file, stack_file)
        return cls(files, file.project, file.profiles, {**env, **file.env}, at)

    def up(self, said: Callable[[str], None]) -> None:
        self._run(["up", "-d"], said)

    def down(self, said: Callable[[str], None], *, volumes: bool = False) -> None:
        """The containers and networks of the files; with ``volumes`` their volumes too. Never
        containers of services that the files do not name: somebody else's may be among them."""
        more = ["--volumes"] if volumes else []
        self._run(["down", *more, "--timeout", str(_GRACE)], said)

    def services(self) -> set[str]:
        """What the files name. Warnings, which Compose mixes in, are not taken for services."""
        found: list[str] = []
        self._run(["config", "--services"], found.append)
        return {line for line in found if _SERVICE.fullmatch(line)}

    def _run(self, words: list[str], said: Callable[[str], None]) -> None:
        command = [*program(), "-p", self.project]
        for path in self.files:
            command += ["-f", str(path)]
        # By variable: 1.29 takes one --profile only.
        env = {**os.environ, **self.env, "COMPOSE_PROFILES": ",".join(self.profiles)}
        env = self.at.over(env)
        last: deque[str] = deque(maxlen=8)
        with subprocess.Popen(
            [*command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=self.files[0].parent,
        ) as process:
            timer = threading.Timer(LIMIT, process.kill)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if text := one_line(line, 200):
                        last.append(text)
                        said(text)
            finally:
                timer.cancel()
        if process.returncode != 0:
            what = "\n".join(f"  {line}" for line in last) or "  (no output)"
            raise StackError(
                f"compose {words[0]} ended with exit code {process.returncode}:\n{what}",
                hint=advice("\n".join(last)),
            )


def program() -> list[str]:
    """Raises CapabilityMissing if there is no Compose."""
    if shutil.which("docker") is not None:
        found = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=30, check=False
        )
        if found.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    raise CapabilityMissing(
        "there is no Compose on this machine",
        hint="install Docker's compose plugin, or Debian's docker-compose",
    )


def advice(text: str) -> str:
    """The way out, from what Compose said."""
    low = text.lower()
    if "permission denied" in low:
        return "this user may not talk to Docker: join the group docker, or use sudo"
    if "cannot connect to the docker daemon" in low or "couldn't connect to docker" in low:
        return "start the daemon: `systemctl start docker`, or dockerd"
    if any(words in low for words in _NO_IMAGE):
        return "an image is missing: pull or build it; without a registry see docs/docker.md"
    if "port is already allocated" in low or "address already in use" in low:
        return "another program has a port of the stack: end it, or change the port"
    return "run the same by hand for more: docker compose -p PROJECT -f FILE up"


def read_env(path: Path) -> dict[str, str]:
    """``NAME=value`` lines, as Compose reads them: no quoting, no expansion."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError(f"{path}:{number}: expected NAME=value")
        found[name.strip()] = value.strip()
    return found
