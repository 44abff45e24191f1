"""The frozen model of a stack file, as the design describes it.

``args``, ``env`` and command lists arrive as source text (``0.90`` stays ``0.90``); the YAML
loader sees to that. The kind picks the model: ``local``, ``docker`` or ``attach`` in this version.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal, Self

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


Url = Annotated[
    str, BeforeValidator(_without_user), Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
]
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
    """How the server is run. ``command`` null = the managed engine environment; else what comes
    before the model's arguments, such as ``[vllm, serve]``."""

    command: Annotated[Words, Field(min_length=1)] | None = None
    args: Words = Field(default_factory=list)
    env: Variables = Field(default_factory=dict)


class RestartSettings(Settings):
    """``limit`` counts failed starts in a row: the server exited before its port was open.
    ``backoff`` doubles with each of them, up to a minute."""

    policy: Literal["always", "on-failure", "never"] = "always"
    backoff: _Pause = 1.0
    limit: Annotated[int, Field(ge=1, le=1000)] = 10


class LocalStackFile(Settings):
    """vLLM and Toxiproxy as processes of this machine, kept alive by a supervisor of ours."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    name: StackName
    kind: Literal["local"]
    environment: Environment = "test"
    model: Annotated[str, Field(min_length=1)] = "demo"
    served_model_name: Annotated[str, Field(min_length=1)] = "qwen3"
    engine: EngineSettings = EngineSettings()
    restart: RestartSettings = RestartSettings()
    memory_limit: _Limit | None = 8 * 1024**3


class ProcessSettings(Settings):
    """How the server's process is found afresh each time; exactly one of them."""

    listens: Annotated[int, Field(ge=1, le=65535)] | None = None
    systemd: str | None = None
    pid_file: str | None = None

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

    client_router: ProxyName | None = Field(default=None, alias="client-router")
    router_replica: ProxyNames | None = Field(default=None, alias="router-replica")


class ReachedStackFile(Settings):
    """What a stack that is reached by URLs has in common. ``url`` is where clients go, ``model``
    the served name; ``direct_url`` is the server or router behind the Toxiproxy;
    ``replica_header`` the response header in which a router says which replica answered.
    ``links`` says more of that Toxiproxy: which of its proxies lead to the replicas.
    ``router_stats`` is where HAProxy gives its statistics as CSV (``…/stats;csv``).
    ``endpoints`` are further URLs that a workload may go to, by name."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    name: StackName
    url: Url
    model: Annotated[str, Field(min_length=1)]
    direct_url: Url | None = None
    health_url: Url | None = None
    metrics_url: Url | None = None
    proxy_api: Url | None = None
    proxy_name: ProxyName | None = None
    links: LinkSettings = LinkSettings()
    api_key_env: str | None = None
    headers_env: dict[str, str] = Field(default_factory=dict)
    ca_file: str | None = None
    replica_header: HeaderName | None = None
    router_stats: Url | None = None
    endpoints: dict[EndpointName, Url] = Field(default_factory=dict)

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

    kind: Literal["attach"]
    environment: Environment
    process: ProcessSettings | None = None
    restart_command: Annotated[Words, Field(min_length=1)] | None = None


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

    server: ServiceNames
    router: ServiceNames | None = None
    proxy: ServiceNames | None = None

    def by_role(self) -> dict[str, list[str]]:
        return {role: names for role, names in self if names is not None}


class DockerStackFile(ReachedStackFile):
    """A Compose project. With ``compose``, the paths of its files, vqchaos brings it up and down;
    without, somebody else does. ``env`` and ``env_file`` fill Compose's variables."""

    kind: Literal["docker"]
    environment: Environment | None = None
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    services: ServiceSettings
    compose: PathNames | None = None
    profiles: list[str] = Field(default_factory=list)
    env: Variables = Field(default_factory=dict)
    env_file: str | None = None


AnyStackFile = LocalStackFile | AttachStackFile | DockerStackFile
StackFile = Annotated[AnyStackFile, Field(discriminator="kind")]


def stack_schema() -> dict[str, Any]:
    """JSON Schema of a stack file, for editors."""
    from pydantic import TypeAdapter  # noqa: PLC0415 (only `schema` needs it)

    return TypeAdapter[Any](StackFile).json_schema(by_alias=True)
