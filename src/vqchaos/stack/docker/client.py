"""docker-py's client, guarded: a timeout on every call, and errors that say what to do.

Imported late, by who needs a daemon: docker-py and requests are slow to import.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests
from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from vqchaos.errors import StackError
from vqchaos.stack.docker.address import Address, address
from vqchaos.text import one_line
from vqchaos.units import format_duration

T = TypeVar("T")
CALL_TIMEOUT = 20.0  # seconds; a start waits for runc, all else takes milliseconds


class Refused(StackError):
    """Docker answered, and said no."""


class Gone(StackError):
    """There is no such container (any more)."""


class _Api(APIClient):  # type: ignore[misc] # docker-py ships no types
    """Some of docker-py's methods ask for no timeout at all (events, logs): here none goes
    without."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except BaseException:
            self.close()
            raise

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        if options.get("timeout") is None:
            options["timeout"] = self.timeout
        # Said with each: else requests prefers REQUESTS_CA_BUNDLE to the certificates of Docker.
        options.setdefault("verify", self.verify)
        response: requests.Response = super().request(method, url, **options)
        return response


class Docker:
    """One client of one daemon: of ``at``, else of the one that the environment names. ``local``:
    its processes may be processes of this machine. Raises StackError if there is no daemon."""

    def __init__(
        self, api: Any = None, *, timeout: float = CALL_TIMEOUT, at: Address | None = None
    ) -> None:
        self._at = at or address()
        self.host = self._at.host
        self.local = self.host.startswith(("unix://", "http+unix://"))
        self._timeout = timeout
        self.api: Any = self._connect() if api is None else api

    def call(self, work: Callable[[], T], what: str = "") -> T:
        """Do it. Raises Gone, Refused or another StackError; ``what`` is the container's name, or
        whatever else the call is about."""
        try:
            return work()
        except StackError:
            raise
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._translated(error, what) from error

    def _connect(self) -> Any:
        try:
            self._knock()
            options = kwargs_from_env(environment=self._at.env())
            if self.host.startswith("ssh://"):
                options["use_ssh_client"] = True  # the user's own ssh, with its keys and agents
            return _Api(timeout=self._timeout, **options)
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._unreachable(error) from error

    def _knock(self) -> None:
        """A line to a daemon of this machine, at once closed: where there is none, docker-py leaves
        its own socket to the garbage collector."""
        if self.local:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(self._timeout)
                line.connect(self.host.partition("://")[2])

    def _translated(self, error: Exception, what: str) -> StackError:
        if isinstance(error, APIError):
            said = one_line(error.explanation or error)
            name = f"{one_line(what, 100)}: " if what else ""
            if isinstance(error, ImageNotFound):
                return Refused(
                    f"{name}an image is missing: {said}", hint="pull it, or build it, and try again"
                )
            if isinstance(error, NotFound) and "container" in said.lower():
                return Gone(
                    f"the container {one_line(what, 100)} is gone: somebody removed it",
                    hint="bring the stack up again: `docker compose up -d`, or `vqchaos up`",
                )
            return Refused(f"{name}Docker said no ({error.status_code}): {said}")
        return self._unreachable(error)

    def _unreachable(self, error: Exception) -> StackError:
        where = self._where()
        causes = list(_causes(error))
        if any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in causes):
            return StackError(
                f"the Docker daemon at {where} gave no answer within "
                f"{format_duration(self._timeout)}",
                hint="does `docker ps` answer? A daemon that hangs is restarted by its own service",
            )
        if any(isinstance(cause, PermissionError) for cause in causes):
            return StackError(
                f"this user may not talk to the Docker daemon at {where}",
                hint="join the group docker and log in again, or run vqchaos as root",
            )
        if any(isinstance(c, (FileNotFoundError, ConnectionError)) for c in causes):
            return StackError(
                f"the Docker daemon is not running at {where}",
                hint="start it (`systemctl start docker`), or name another one: DOCKER_HOST",
            )
        return StackError(
            f"the Docker daemon at {where} cannot be used: {one_line(error)}",
            hint="does `docker version` work with the same DOCKER_HOST?",
        )

    def _where(self) -> str:
        return one_line(self.host.rpartition("@")[2], 100)  # without a user of ssh


def _causes(error: BaseException | None, depth: int = 8) -> Iterator[BaseException]:
    """The error, what it came from, and what its layers hold in their arguments."""
    if error is None or not depth:
        return
    yield error
    for inner in (error.__cause__, error.__context__, *error.args):
        if isinstance(inner, BaseException):
            yield from _causes(inner, depth - 1)
    reason = getattr(error, "reason", None)  # urllib3 wraps its retries so
    if isinstance(reason, BaseException):
        yield from _causes(reason, depth - 1)
