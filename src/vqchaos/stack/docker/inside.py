"""Programs inside a container, bounded: Docker's exec has no timeout and cannot be ended."""

from __future__ import annotations

import contextlib
import secrets
import struct
import threading
import time
from collections.abc import Mapping, Sequence

from vqchaos.errors import StackError
from vqchaos.stack.docker.client import Docker, Refused
from vqchaos.stack.docker.host import kill_marked
from vqchaos.units import format_duration

TOKEN = "VQCHAOS_TOKEN"  # noqa: S105 - the name of a fault's mark, not a secret
_EXEC = "VQCHAOS_EXEC"  # marks one call of ours, so that all it started can be ended
_OUTPUT = 64 * 1024
_ENDING = 5.0  # seconds for what was killed to be gone
# By a shell inside, where the container's processes are not ours to see. The mark is an argument,
# not in the environment: the script must not find itself.
_KILL = (
    'n=0; for e in /proc/[0-9]*/environ; do if grep -q "$1" "$e" 2>/dev/null; then '
    'p=${e#/proc/}; kill -9 "${p%/environ}" && n=$((n+1)); fi; done; echo "$n"'
)
_CANNOT_RUN = (126, 127)


class Inside:
    """Runs, starts and ends programs, as root of the container."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    def run(
        self, container: str, name: str, command: Sequence[str], timeout: float, env: dict[str, str]
    ) -> tuple[int, str]:
        """Exit code and output. Raises StackError when the time is up; what ran is killed then."""
        mark = f"{_EXEC}={secrets.token_hex(8)}"
        call = self._create(container, name, command, [*_listed(env), mark])
        deadline = time.monotonic() + timeout
        output = bytearray()
        problem: list[Exception] = []

        def read() -> None:
            try:
                self._read(call, name, output)
            except Exception as error:
                problem.append(error)

        # A thread: over ssh there is no socket whose reads could be given a timeout.
        reader = threading.Thread(target=read, daemon=True, name="docker-exec")
        reader.start()
        reader.join(timeout)
        code = None
        if not reader.is_alive():
            if problem:
                raise problem[0]
            code = self._exit_code(call, name, deadline)
        if code is None:
            self._kill(container, name, mark)
            reader.join(_ENDING)
            raise StackError(
                f"{name}: `{command[0]}` did not end inside within {format_duration(timeout)}, "
                "and was killed"
            )
        return code, output.decode("utf-8", "replace")

    def start(self, container: str, name: str, command: Sequence[str], env: dict[str, str]) -> None:
        """Start and leave it."""
        call = self._create(container, name, command, _listed(env))
        self._docker.call(lambda: self._docker.api.exec_start(call, detach=True), name)

    def end(self, container: str, name: str, token: str) -> int:
        """Kill what carries the token; how many it were. Raises StackError if one lives on."""
        deadline = time.monotonic() + _ENDING
        first = found = self._kill(container, name, f"{TOKEN}={token}")
        while found:
            if time.monotonic() >= deadline:
                raise StackError(f"{name}: a program of a fault lives on inside after a SIGKILL")
            time.sleep(0.05)
            found = self._kill(container, name, f"{TOKEN}={token}")
        return first

    def _kill(self, container: str, name: str, mark: str) -> int:
        if self._docker.local:
            with contextlib.suppress(PermissionError):
                killed = kill_marked(container, mark)
                if killed is not None:
                    return killed
        command = ["/bin/sh", "-c", _KILL, "sh", mark]
        code, said = self.run(container, name, command, _ENDING, {})
        if code != 0 or not said.strip().isdigit():
            raise StackError(
                f"{name}: what runs inside cannot be killed: no shell and grep there",
                hint="it ends by itself at its deadline; or restart the container",
            )
        return int(said)

    def _create(self, container: str, name: str, command: Sequence[str], env: list[str]) -> str:
        made = self._docker.call(
            lambda: self._docker.api.exec_create(
                container, list(command), environment=env, user="0", stdin=False, tty=False
            ),
            name,
        )
        return str(made["Id"])

    def _read(self, call: str, name: str, output: bytearray) -> None:
        """Until the program has closed its output: frames of a header of eight bytes and a body,
        of which only the first 64 KiB are kept."""
        api = self._docker.api
        sock = self._docker.call(lambda: api.exec_start(call, socket=True), name)
        with contextlib.suppress(AttributeError):  # silence is no error: the caller has a deadline
            getattr(sock, "_sock", sock).settimeout(None)
        answer = sock._response  # noqa: SLF001 (docker-py hangs it on its socket)
        # Not the socket: the first frames may have come with the header, and lie in its buffer.
        stream = answer.raw._fp.fp  # noqa: SLF001 (as docker-py itself reaches the socket)
        try:
            while len(header := stream.read(8)) == 8:
                (size,) = struct.unpack(">xxxxL", header)
                while size and (piece := stream.read(min(size, 65536))):
                    size -= len(piece)
                    output += piece[: max(0, _OUTPUT - len(output))]
        finally:
            answer.close()

    def _exit_code(self, call: str, name: str, deadline: float) -> int | None:
        """Docker closes the output a moment before it knows the exit code."""
        while True:
            seen = self._docker.call(lambda: self._docker.api.exec_inspect(call), name)
            if not seen["Running"] and seen["ExitCode"] is not None:
                return int(seen["ExitCode"])
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)


def refuse_missing(name: str, command: Sequence[str], code: int, said: str) -> None:
    """Docker reports a program that is not there as an exit code and a text on its output."""
    if code in _CANNOT_RUN and "OCI runtime exec failed" in said:
        raise Refused(f"{name}: there is no `{command[0]}` in the container's image")


def _listed(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in env.items()]
