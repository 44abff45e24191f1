"""A stand-in for docker-py's ``APIClient``: as strict as Docker 20.10 was measured to be, with the
same status codes and words, and no daemon behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests
from docker.errors import create_api_error_from_http_exception

ID = "ab" * 32


def refusal(status: int, message: str) -> Exception:
    """The error that docker-py makes of such an answer."""
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps({"message": message}).encode()
    response.url = "http+docker://localhost/v1.41/containers"
    try:
        create_api_error_from_http_exception(requests.HTTPError(response=response))
    except Exception as error:
        return error
    raise AssertionError


def inspected(identifier: str = ID, project: str = "shop", **state: Any) -> dict[str, Any]:
    """What ``docker inspect`` says of a running container, as far as it is read."""
    return {
        "Id": identifier,
        "Name": "/shop-server-1",
        "RestartCount": 0,
        "Config": {"Labels": {"com.docker.compose.project": project}},
        "State": {
            "Status": "running",
            "Pid": 4321,
            "ExitCode": 0,
            "StartedAt": "2026-11-25T13:20:17.147650438Z",
            **state,
        },
        "HostConfig": {
            "Memory": 0,
            "MemorySwap": 0,
            "NanoCpus": 0,
            "CpuQuota": 0,
            "CpuPeriod": 0,
            "Init": None,
        },
        "NetworkSettings": {
            "Networks": {
                "shop_default": {
                    "Aliases": ["server", identifier[:12]],
                    "IPAMConfig": None,
                    "Links": None,
                }
            }
        },
    }


def listed(service: str, number: int, identifier: str, project: str = "shop") -> dict[str, Any]:
    """A line of ``docker ps``, as the API gives it."""
    return {
        "Id": identifier,
        "Names": [f"/other/{service}", f"/{project}-{service}-{number}"],
        "State": "running",
        "Labels": {
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": str(number),
            "com.docker.compose.oneoff": "False",
        },
    }


class FakeEngine:
    """One ``container``. ``before`` is called at each change, so that a test can let somebody else
    be faster; what it raises, the call raises."""

    def __init__(self) -> None:
        self.container: dict[str, Any] | None = inspected()
        self.listing: list[dict[str, Any]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.before: Callable[[str], None] = lambda name: None
        self.events = ""

    @property
    def status(self) -> str:
        assert self.container is not None
        return str(self.container["State"]["Status"])

    @status.setter
    def status(self, value: str) -> None:
        assert self.container is not None
        self.container["State"]["Status"] = value

    @property
    def networks(self) -> dict[str, Any]:
        assert self.container is not None
        found: dict[str, Any] = self.container["NetworkSettings"]["Networks"]
        return found

    def containers(self, **options: Any) -> list[dict[str, Any]]:
        self.calls.append(("containers", options))
        wanted = [label.partition("=") for label in options["filters"]["label"]]
        return [
            each
            for each in self.listing
            if all(
                name in each["Labels"] and (not equals or each["Labels"][name] == value)
                for name, equals, value in wanted
            )
        ]

    def inspect_container(self, identifier: str) -> dict[str, Any]:
        if self.container is None:
            raise refusal(404, f"No such container: {identifier}")
        return json.loads(json.dumps(self.container))  # type: ignore[no-any-return]

    def pause(self, identifier: str) -> None:
        self._change("pause")
        if self.status != "running":
            raise refusal(409, f"Container {identifier} is already paused")
        self.status = "paused"

    def unpause(self, identifier: str) -> None:
        self._change("unpause")
        if self.status != "paused":
            raise refusal(500, f"Container {identifier} is not paused")
        self.status = "running"

    def kill(self, identifier: str, signum: int) -> None:
        self._change("kill", signum)
        if self.status not in ("running", "paused"):
            raise refusal(409, f"Cannot kill container: {identifier} is not running")
        self.status = "exited"

    def stop(self, identifier: str, timeout: int) -> None:
        self._change("stop", timeout)
        self.status = "exited"

    def start(self, identifier: str) -> None:
        self._change("start")
        if self.status == "paused":
            raise refusal(409, "cannot start a paused container, try unpause instead")
        self.status = "running"

    def restart(self, identifier: str, timeout: int) -> None:
        self._change("restart", timeout)
        self.status = "running"

    def disconnect_container_from_network(self, identifier: str, network: str) -> None:
        self._change("disconnect", network)
        if network not in self.networks:
            raise refusal(500, f"container {identifier} is not connected to network {network}")
        del self.networks[network]

    def connect_container_to_network(self, identifier: str, network: str, **options: Any) -> None:
        self._change("connect", network, options)
        if network in self.networks:
            raise refusal(403, f"endpoint with name x already exists in network {network}")
        self.networks[network] = {
            "Aliases": [*options["aliases"], ID[:12]],
            "IPAMConfig": {"IPv4Address": options["ipv4_address"]},
            "Links": None,
        }

    def info(self) -> dict[str, str]:
        return {"ID": "DAEM:ON01", "DockerRootDir": "/data", "SystemTime": "2026-11-25T13:21:00.5Z"}

    def version(self) -> dict[str, str]:
        return {"Version": "20.10.24\x1b[31m"}

    # docker-py's own inner methods, which the adapter uses where its outer ones lack something

    def _url(self, path: str, *parts: str) -> str:
        return path.format(*parts)

    def _get(self, path: str, params: dict[str, str]) -> str:
        self.calls.append((path, params))
        return self.events

    def _post_json(self, path: str, data: dict[str, int]) -> str:
        self._change("update", data)
        assert self.container is not None
        self.container["HostConfig"].update(data)
        return ""

    def _result(self, answer: str, json: bool = False) -> str:
        return answer

    def _change(self, name: str, *more: Any) -> None:
        self.calls.append((name, *more))
        self.before(name)
        if self.container is None:
            raise refusal(404, f"No such container: {ID}")
