"""One workload as the observer process runs it: plain, JSON-able, without pydantic (whose import
would cost each run a quarter of a second)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqchaos.load.arrivals import KINDS, offsets
from vqchaos.load.client import PATHS, Call
from vqchaos.load.prompts import Prompt, prompts

if TYPE_CHECKING:
    from vqchaos.load.workload import Workload

# What the body of an experiment cannot change: the nonce and the parser depend on it.
_OURS = ("prompt", "messages", "stream", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """``workload`` settings, resolved. ``url`` is the base that requests go to."""

    name: str
    url: str
    model: str
    api: str = "completions"
    rate: float = 4.0
    arrivals: str = "poisson"
    stream: bool = True
    reuse: bool = False  # connections
    max_tokens: int = 32
    deadline: float = 20.0
    prompt_file: str | None = None
    prompt_tokens: str | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, workload: Workload, *, url: str, model: str) -> LoadPlan:
        """From the experiment's settings; file names become absolute."""
        source = workload.prompts
        tokens = getattr(source, "tokens", None)
        arrivals = workload.arrivals
        return cls(
            name=name,
            url=url,
            model=model,
            api=workload.api,
            rate=workload.rate,
            arrivals=arrivals if arrivals in KINDS else _absolute(arrivals),
            stream=workload.stream,
            reuse=workload.connections == "reuse",
            max_tokens=workload.max_tokens,
            deadline=workload.deadline,
            prompt_file=None if source is None or tokens is not None else _absolute(source),
            prompt_tokens=tokens,
            body=dict(workload.body),
        )

    def arrive(self, seed: int) -> Iterator[float]:
        """Offsets of the arrivals. Raises UsageError."""
        return offsets(self.arrivals, self.rate, f"{seed}:{self.name}")

    def ask(self, seed: int) -> Iterator[Prompt]:
        """Prompts in order. Raises UsageError."""
        return prompts(self.prompt_file, self.prompt_tokens, self.api, f"{seed}:{self.name}")

    def check(self) -> None:
        """Reads every file that the plan names. Raises UsageError."""
        next(self.arrive(0))
        next(self.ask(0))

    def call(self, prompt: Prompt, identity: str, due: float) -> Call:
        """One request, due at a raw monotonic second."""
        body: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            **({"stream_options": {"include_usage": True}} if self.stream else {}),
            **{key: value for key, value in self.body.items() if key not in _OURS},
            "model": self.model,
            "stream": self.stream,
            **prompt.fields(self.api, identity),
        }
        exact = body.get("ignore_eos") is True and isinstance(body["max_tokens"], int)
        return Call(
            workload=self.name,
            id=identity,
            api=self.api,
            url=self.url + PATHS[self.api],
            body=json.dumps(body, separators=(",", ":")).encode(),
            stream=self.stream,
            reuse=self.reuse,
            due=due,
            deadline=self.deadline,
            expected_tokens=body["max_tokens"] if exact and "stop" not in body else None,
        )


def _absolute(path: object) -> str:
    return str(Path(str(path)).expanduser().absolute())
