"""The settings of a workload and of the probes: what the observer process is told to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vqchaos.units import Duration


class Settings(BaseModel):
    """Frozen; strict about unknown keys, and that text is neither a number nor a truth value."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)


class TokenRange(Settings):
    """``{tokens: 200..2000}``: prompts of about so many tokens."""

    tokens: Annotated[
        str,
        Field(
            pattern=r"^\d+(\.\.\d+)?$",
            examples=["200..2000"],
            description="How many, or from how many to how many",
        ),
    ]


class Workload(Settings):
    """Open-loop traffic on one endpoint of the stack."""

    endpoint: str | None = Field(default=None, description="An endpoint of the stack, by name")
    api: Literal["completions", "chat"] = Field(
        default="completions", description="Which of OpenAI's endpoints"
    )
    rate: Annotated[float, Field(gt=0, le=10_000, description="Requests a second, open loop")] = 4
    arrivals: str = Field(
        default="poisson", description="poisson, constant, or a file of offsets in seconds"
    )
    stream: bool = Field(default=True, description="Whether answers are streamed, token by token")
    connections: Literal["fresh", "reuse"] = Field(
        default="fresh",
        description="A connection for each request, or kept ones while they last",
    )
    max_tokens: Annotated[int, Field(ge=1, description="Of each answer, at most")] = 32
    deadline: Duration = Field(
        default=20.0, description="A request that has not ended by then is hung"
    )
    prompts: Annotated[Path, Field(strict=False)] | TokenRange | None = Field(
        default=None, description="null = built in; a file of texts or JSON Lines; {tokens: A..B}"
    )
    body: dict[str, Any] = Field(
        default_factory=dict, description="Merged into each request's JSON body"
    )


class ObserverSettings(Settings):
    """The probes' own settings."""

    health_interval: Duration = Field(
        default=0.25, description="From one look at /health to the next"
    )
    health_timeout: Duration = Field(default=2.0, description="How long one look waits")
    pilot_interval: Duration = Field(
        default=0.5, description="From one request of one token to the next"
    )
    pilot_deadline: Duration = Field(
        default=2.0, description="Or 5 x the pilot's baseline p95, the longer"
    )
    metrics_interval: Duration = Field(
        default=1.0, description="From one reading of vLLM's /metrics to the next"
    )
    processes_interval: Duration = Field(
        default=0.2, description="From one look at the stack's processes to the next"
    )
    max_lag: Duration = Field(default=0.1, description="A run whose lag p99 is higher is void")
