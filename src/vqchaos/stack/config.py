"""The frozen model of a stack file, as the design describes it.

``args``, ``env`` and command lists arrive as source text (``0.90`` stays ``0.90``); the YAML
loader sees to that. The kind picks the model: ``local``, ``docker`` or ``attach`` in this version.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from vqchaos.units import Duration, Size

# As text in JSON, so that a file that was dumped can be read again.
_Pause = Annotated[
    Duration, PlainSerializer(lambda seconds: f"{seconds:f}s", return_type=str, when_used="json")
]
_Limit = Annotated[
    Size, PlainSerializer(lambda size: f"{size}B", return_type=str, when_used="json")
]
Environment = Literal["test", "staging", "production"]


def _without_user(url: object) -> object:
    """A password in a URL would be shown wherever the URL is."""
    if isinstance(url, str) and "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("a URL must not hold a user or password: use headers_env or api_key_env")
    return url


URL_PATTERN = r"^https?://[^\s/?#]+(/[^\s?#]*)?$"
Url = Annotated[str, Field(pattern=URL_PATTERN), BeforeValidator(_without_user)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
EndpointName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
StackName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
_SCALAR = {"type": ["string", "number", "boolean"]}


def _split(value: object) -> object:
    """One string is split like a shell does, without expansion."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"cannot be split like a shell would: {error}") from error
    return value


Words = Annotated[
    list[str],
    BeforeValidator(_split),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _SCALAR}]}),
]
Variables = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str],
    WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
]


class Settings(BaseModel):
    """Frozen and strict: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class EngineSettings(Settings):
    """How the server is run."""

    command: Annotated[Words, Field(min_length=1)] | None = Field(
        default=None,
        description="What comes before the model's arguments, such as [vllm, serve]; null: a "
        "`vllm` on PATH if the host has a GPU, else an environment that vqchaos makes",
    )
    args: Words = Field(
        default_factory=list, description="Passed as they are written; one text is split"
    )
    env: Variables = Field(default_factory=dict, description="Variables for the server alone")


class RestartSettings(Settings):
    """What happens when the server ends by itself."""

    policy: Literal["always", "on-failure", "never"] = Field(
        default="always", description="Whether it is started again (vLLM exits 0 in a crash too)"
    )
    backoff: _Pause = Field(
        default=1.0, description="The wait; doubles with each failed start, up to a minute"
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="Failed starts in a row: the server ended before its port was open"
    )


class LocalStackFile(Settings):
    """vLLM and Toxiproxy as processes of this machine, kept alive by a supervisor of ours."""

    version: Annotated[int, Field(ge=1, le=1, description="Of the file format")] = 1
    name: StackName = Field(description="How commands and reports call it")
    kind: Literal["local"] = Field(description="vqchaos runs it on this machine")
    environment: Environment = Field(
        default="test", description="production: needs `--yes` and `allow:`"
    )
    model: Annotated[str, Field(min_length=1)] = Field(
        default="demo", description="demo, a folder (from this file's), or a hub name"
    )
    served_model_name: Annotated[str, Field(min_length=1)] = Field(
        default="qwen3", description="The name in requests"
    )
    engine: EngineSettings = Field(default=EngineSettings(), description="How the server is run")
    restart: RestartSettings = Field(
        default=RestartSettings(), description="What happens when the server ends by itself"
    )
    memory_limit: _Limit | None = Field(
        default=8 * 1024**3,
        description="RLIMIT_DATA of each process of the server; null: none, and no oversized_model",
    )


class ProcessSettings(Settings):
    """How the server's process is found afresh each time; exactly one of them."""

    listens: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="The port that it has open"
    )
    systemd: str | None = Field(default=None, description="Its unit")
    pid_file: str | None = Field(default=None, description="A file with its PID")

    @model_validator(mode="after")
    def _exactly_one(self) -> ProcessSettings:
        given = [k for k, v in self.model_dump().items() if v is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of listens, systemd, pid_file; found {found}")
        return self


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_ONE_OR_MORE = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
ProxyName = Annotated[str, Field(pattern=r"^[^/\s]+$")]
ProxyNames = Annotated[list[ProxyName], BeforeValidator(_listed), Field(min_length=1), _ONE_OR_MORE]


class LinkSettings(Settings):
    """The Toxiproxy proxies on each link. Replicas are counted in the order of ``router-replica``,
    which should be that of the services."""

    client_router: ProxyName | None = Field(
        default=None, alias="client-router", description="The one that clients go through"
    )
    router_replica: ProxyNames | None = Field(
        default=None, alias="router-replica", description="One before each replica, in order"
    )


class ReachedStackFile(Settings):
    """What a stack that is reached by URLs has in common."""

    version: Annotated[int, Field(ge=1, le=1, description="Of the file format")] = 1
    name: StackName = Field(description="How commands and reports call it")
    url: Url = Field(description="Where clients go")
    model: Annotated[str, Field(min_length=1)] = Field(description="The name in requests")
    direct_url: Url | None = Field(
        default=None, description="The server or the router, without a Toxiproxy; null: `url`"
    )
    health_url: Url | None = Field(default=None, description="null: `direct_url`/health")
    metrics_url: Url | None = Field(default=None, description="null: `direct_url`/metrics")
    proxy_api: Url | None = Field(
        default=None,
        description="The API of the Toxiproxy that clients go through; with `proxy_name`",
    )
    proxy_name: ProxyName | None = Field(default=None, description="Its proxy that `url` leads to")
    links: LinkSettings = Field(
        default=LinkSettings(), description="More proxies of that Toxiproxy"
    )
    api_key_env: str | None = Field(
        default=None,
        description="The variable that holds the API key; sent as a bearer token, in no artifact",
    )
    headers_env: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers: each name with the variable that holds its value",
    )
    ca_file: str | None = Field(
        default=None, description="Certificates to trust, from this file's folder"
    )
    replica_header: HeaderName | None = Field(
        default=None,
        description="The response header in which a router says which replica answered",
    )
    router_stats: Url | None = Field(
        default=None,
        description="HAProxy's statistics as CSV (…/stats;csv): which replicas are in rotation",
    )
    endpoints: dict[EndpointName, Url] = Field(
        default_factory=dict, description="Further URLs that a workload may go to, by name"
    )

    @model_validator(mode="after")
    def _proxy_is_whole(self) -> Self:
        if (self.proxy_api is None) != (self.proxy_name is None):
            raise ValueError("proxy_api and proxy_name go together: give both or neither")
        clients, replicas = self.links.client_router, self.links.router_replica or []
        if (clients or replicas) and self.proxy_name is None:
            raise ValueError("links names proxies of the Toxiproxy at proxy_api: give that too")
        if clients not in (None, self.proxy_name):
            raise ValueError(
                f"links.client-router is {clients} and proxy_name {self.proxy_name}: clients go "
                "through one proxy"
            )
        names = [self.proxy_name, *replicas]
        if twice := sorted({name for name in replicas if names.count(name) > 1}):
            raise ValueError(f"links: {', '.join(twice)} cannot be on two links at once")
        return self


class AttachStackFile(ReachedStackFile):
    """A server that somebody else runs. Each key given unlocks the faults that need it."""

    kind: Literal["attach"] = Field(description="somebody else runs it")
    environment: Environment = Field(description="production: needs `--yes` and `allow:`")
    process: ProcessSettings | None = Field(
        default=None,
        description="How the server's process is found; read, and not used in this version",
    )
    restart_command: Annotated[Words, Field(min_length=1)] | None = Field(
        default=None,
        description="How the server is started again; read, and not used in this version",
    )


ServiceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


ServiceNames = Annotated[
    list[ServiceName], BeforeValidator(_listed), Field(min_length=1), _ONE_OR_MORE
]
PathNames = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_listed),
    Field(min_length=1),
    _ONE_OR_MORE,
]


class ServiceSettings(Settings):
    """Which of the project's services play which role. Replicas are counted in this order."""

    server: ServiceNames = Field(description="vLLM's, one or more")
    router: ServiceNames | None = Field(default=None, description="What spreads requests over them")
    proxy: ServiceNames | None = Field(default=None, description="Toxiproxy")

    def by_role(self) -> dict[str, list[str]]:
        return {role: names for role, names in self if names is not None}


class DockerStackFile(ReachedStackFile):
    """A Compose project: its containers are what faults may touch."""

    kind: Literal["docker"] = Field(description="containers of a Compose project")
    environment: Environment | None = Field(
        default=None,
        description="null: test, if the daemon is here; production: needs `--yes` and `allow:`",
    )
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = Field(
        description="Compose's project name"
    )
    services: ServiceSettings = Field(description="Which services play which role")
    compose: PathNames | None = Field(
        default=None,
        description="Its files, from this file's folder, for `up` and `down`; null: somebody else "
        "brings it up",
    )
    profiles: list[str] = Field(default_factory=list, description="Compose's profiles")
    env: Variables = Field(default_factory=dict, description="Compose's variables")
    env_file: str | None = Field(
        default=None, description="A file of them, from this file's folder"
    )


AnyStackFile = LocalStackFile | AttachStackFile | DockerStackFile
StackFile = Annotated[AnyStackFile, Field(discriminator="kind")]
