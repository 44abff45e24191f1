"""How a stack is now, of whatever kind, and whether a token comes back from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from vqchaos.stack.protocols import Endpoints


@dataclass(frozen=True, slots=True)
class StackStatus:
    """``state``: down, starting, serving, or broken (up, and no token comes back). ``why`` says
    more where it is not serving. Everything is JSON-able with ``as_json``."""

    name: str
    kind: str
    state: str
    why: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    processes: list[dict[str, Any]] = field(default_factory=list)
    containers: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str | None] = field(default_factory=dict)
    faults_in_force: list[str] = field(default_factory=list)
    residue: list[str] = field(default_factory=list)
    state_dir: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def answer_token(endpoints: Endpoints, timeout: float) -> bool:
    """Does one token come back on the clients' way, through the proxy?"""
    import httpx  # noqa: PLC0415 (slow to import; only this asks for tokens)

    body = {"model": endpoints.model, "prompt": "The", "max_tokens": 1}
    url = f"{endpoints.client_url}/v1/completions"
    verify = endpoints.ca_file or True
    try:
        with httpx.Client(trust_env=False, timeout=timeout, verify=verify) as client:
            answer = client.post(url, json=body, headers=dict(endpoints.headers))
            if answer.status_code != 200:
                return False
            return int(answer.json()["usage"]["completion_tokens"]) >= 1
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
        return False
