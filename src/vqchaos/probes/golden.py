"""Canaries and their golden answers, on disk and freshly recorded.

A file of canaries is a list (or ``{"canaries": [...]}``) of ``name``, ``api``, ``prompt``,
``max_tokens``. A golden file adds what a sound model answers: ``text``, ``tokens``, ``logprobs``,
with the model's hash and vLLM's version. Prompts are shorter than one KV block, so that the prefix
cache takes no part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vqchaos.errors import InvalidFile, Problem, StackUnhealthy, UsageError
from vqchaos.probes.fingerprint import Fingerprint, garbage

SCHEMA = 1
PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A question whose answer is known."""

    name: str
    api: str
    prompt: str
    max_tokens: int

    def body(self, model: str) -> dict[str, Any]:
        """The request: alone, temperature 0, with what the fingerprint needs."""
        shared = {
            "model": model,
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "return_token_ids": True,
        }
        if self.api == "completions":
            return {**shared, "prompt": self.prompt, "logprobs": 1}
        return {
            **shared,
            "messages": [{"role": "user", "content": self.prompt}],
            "logprobs": True,
            "top_logprobs": 1,
            "chat_template_kwargs": {"enable_thinking": False},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenAnswer(Canary):
    """A canary and its right answer."""

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.text, self.tokens, self.logprobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A golden file."""

    model_sha256: str
    engine_version: str
    served_model_name: str
    canaries: tuple[GoldenAnswer, ...]
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """As JSON a person can read."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


def fingerprint_of(answer: Any, api: str) -> Fingerprint:
    """What an answer to ``Canary.body`` holds; empty parts where the server gives none."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Fingerprint("")
    logprobs = choice.get("logprobs")
    logprobs = logprobs if isinstance(logprobs, dict) else {}
    if api == "completions":
        text, values = choice.get("text"), logprobs.get("token_logprobs")
    else:
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        keys = ("reasoning", "reasoning_content", "content")
        text = "".join(message[key] for key in keys if isinstance(message.get(key), str))
        content = logprobs.get("content")
        content = content if isinstance(content, list) else []
        values = [item.get("logprob") for item in content if isinstance(item, dict)]
    return Fingerprint(
        text if isinstance(text, str) else "",
        tuple(_numbers(choice.get("token_ids"), int)),
        tuple(float(value) for value in _numbers(values, (int, float))),
    )


def _numbers(values: Any, kinds: Any) -> list[Any]:
    return [v for v in values if isinstance(v, kinds)] if isinstance(values, list) else []


def built_in_canaries() -> list[Canary]:
    """The canaries that ship with vqchaos, for the demo model."""
    text = resources.files("vqchaos").joinpath("data/canaries.json").read_text(encoding="utf-8")
    return parse_canaries(json.loads(text), "the built-in canaries")


def parse_canaries(data: Any, source: str) -> list[Canary]:
    """Raises InvalidFile."""
    items = data.get("canaries") if isinstance(data, dict) else data
    canaries: list[Canary] = []
    problems: list[Problem] = []
    for number, item in enumerate(items if isinstance(items, list) else [], 1):
        try:
            canary = Canary(**{key: item[key] for key in ("name", "api", "prompt", "max_tokens")})
            right = (
                isinstance(canary.name, str)
                and canary.api in PATHS
                and isinstance(canary.prompt, str)
                and isinstance(canary.max_tokens, int)
                and canary.max_tokens > 0
            )
        except (KeyError, TypeError):
            right = False
        if right:
            canaries.append(canary)
        else:
            wrong = f"canary {number}: expected name, api, prompt and max_tokens"
            problems.append(Problem(source, 0, 0, wrong))
    if not canaries and not problems:
        problems.append(Problem(source, 0, 0, "expected a list of canaries"))
    if problems:
        raise InvalidFile(problems)
    return canaries


def read_golden(path: Path) -> Golden:
    """Raises UsageError if it cannot be read, InvalidFile if it is no golden file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidFile([Problem(str(path), 0, 0, f"not JSON: {error}")]) from error
    except OSError as error:
        raise UsageError(
            f"golden answers: cannot read {path}: {error.strerror}",
            hint="write them with `vqchaos golden`",
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise InvalidFile([Problem(str(path), 0, 0, "not a golden file: it has no schema")])
    if data["schema"] > SCHEMA:
        raise InvalidFile([Problem(str(path), 0, 0, "written by a newer vqchaos")])
    parsed = parse_canaries(data, str(path))
    try:
        answers = tuple(
            GoldenAnswer(
                **asdict(canary),
                text=str(item["text"]),
                tokens=tuple(int(token) for token in item.get("tokens") or ()),
                logprobs=tuple(float(value) for value in item.get("logprobs") or ()),
            )
            for canary, item in zip(parsed, data["canaries"], strict=True)
        )
        return Golden(
            model_sha256=str(data["model_sha256"]),
            engine_version=str(data["engine_version"]),
            served_model_name=str(data["served_model_name"]),
            canaries=answers,
        )
    except (KeyError, TypeError, ValueError) as error:
        wrong = f"not a golden file: {type(error).__name__}: {error}"
        raise InvalidFile([Problem(str(path), 0, 0, wrong)]) from error


def record_golden(
    url: str,
    model: str,
    canaries: Sequence[Canary],
    *,
    model_sha256: str,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
    timeout: float = 60.0,
) -> Golden:
    """Asks each canary twice, in quiet, of the server at ``url`` (no path).

    Raises StackUnhealthy if an answer fails, differs between the two times or is garbage.
    """
    import ssl  # noqa: PLC0415 (the observer process imports this module and needs neither)

    import httpx  # noqa: PLC0415

    with httpx.Client(
        base_url=url,
        headers=dict(headers or {}),
        timeout=timeout,
        verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
        trust_env=False,
    ) as client:
        answers = []
        for canary in canaries:
            first, second = (_ask(client, canary, model) for _ in range(2))
            if first != second:
                raise StackUnhealthy(
                    f"canary {canary.name}: two answers in a row differ: "
                    f"{first.text[:60]!r}, {second.text[:60]!r}",
                    hint="is somebody else using the server? golden answers need a quiet one",
                )
            answers.append(
                GoldenAnswer(
                    name=canary.name,
                    api=canary.api,
                    prompt=canary.prompt,
                    max_tokens=canary.max_tokens,
                    text=first.text,
                    tokens=tuple(first.tokens),
                    logprobs=tuple(first.logprobs),
                )
            )
        return Golden(
            model_sha256=model_sha256,
            engine_version=_version(client),
            served_model_name=model,
            canaries=tuple(answers),
        )


def _ask(client: Any, canary: Canary, model: str) -> Fingerprint:
    import httpx  # noqa: PLC0415

    try:
        response = client.post(PATHS[canary.api], json=canary.body(model))
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        why = type(error).__name__
        raise StackUnhealthy(f"canary {canary.name} was not answered: {why}") from error
    if response.status_code != 200:
        raise StackUnhealthy(f"canary {canary.name} was not answered: HTTP {response.status_code}")
    seen = fingerprint_of(answer, canary.api)
    if found := garbage(seen):
        raise StackUnhealthy(f"canary {canary.name}: garbage: {', '.join(found)}")
    return seen


def _version(client: Any) -> str:
    import httpx  # noqa: PLC0415

    try:
        return str(client.get("/version").json()["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""
