"""What the requests ask. Each prompt gets its request's nonce in front, so that no two are the
same and an answer that went astray can be told."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqchaos.errors import InvalidFile, Problem, UsageError

# The demo model knows the Apache licence by heart; any other model goes on from these as well.
BUILT_IN = (
    "Unless required by applicable law or agreed to in writing, Licensor provides the Work",
    "Licensed under the Apache License, Version 2.0",
    "You may reproduce and distribute copies of the Work or Derivative Works thereof",
    "Subject to the terms and conditions of this License, each Contributor hereby grants",
    "In no event and under no legal theory, whether in tort, contract, or otherwise,",
    "This License does not grant permission to use the trade names, trademarks,",
    "While redistributing the Work or Derivative Works thereof, You may choose to offer,",
    '"Derivative Works" shall mean any work, whether in Source or Object form,',
)
BUILT_IN_CHAT = (
    "What is the capital of France?",
    "What does the Apache License say about trademarks?",
    "Count from one to ten.",
    "What may I do with the Work under the Apache License?",
)
_WORDS_A_TOKEN = 0.75  # of English text; the length asked for is about that many tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: a text, or the messages of a chat."""

    text: str = ""
    messages: tuple[dict[str, Any], ...] = ()

    def fields(self, api: str, nonce: str) -> dict[str, Any]:
        """``prompt`` or ``messages`` of a request's body, with the nonce in front."""
        mark = f"[{nonce}] "
        if api == "completions":
            return {"prompt": mark + self.text}
        if not self.messages:
            return {"messages": [{"role": "user", "content": mark + self.text}]}
        messages = [dict(message) for message in self.messages]
        for message in reversed(messages):  # into the last thing that a user said
            if message.get("role") == "user" and isinstance(message.get("content"), str):
                message["content"] = mark + message["content"]
                break
        else:
            messages.append({"role": "user", "content": mark.strip()})
        return {"messages": messages}


def prompts(source: str | None, tokens: str | None, api: str, seed: int | str) -> Iterator[Prompt]:
    """Endless prompts in a random order that the seed fixes. ``source``: a file; ``tokens``:
    ``A..B``; neither: built in. Raises UsageError."""
    rng = random.Random(f"prompts:{seed}")
    if tokens is not None:
        return _sized(*token_range(tokens), rng)
    if source is not None:
        return _drawn(read_prompts(Path(source), api), rng)
    built_in = BUILT_IN if api == "completions" else BUILT_IN_CHAT
    return _drawn([Prompt(text) for text in built_in], rng)


def token_range(text: str) -> tuple[int, int]:
    """``200..2000`` or ``500`` → (200, 2000) or (500, 500). Raises UsageError."""
    low, dots, high = text.partition("..")
    try:
        first, last = int(low), int(high) if dots else int(low)
    except ValueError:
        first, last = 0, 0
    if not 1 <= first <= last:
        raise UsageError(
            f"prompts: expected tokens as A..B with 1 <= A <= B, such as 200..2000, found {text!r}"
        )
    return first, last


def _drawn(choices: list[Prompt], rng: random.Random) -> Iterator[Prompt]:
    while True:
        yield rng.choice(choices)


def _sized(low: int, high: int, rng: random.Random) -> Iterator[Prompt]:
    words = " ".join(BUILT_IN).split()
    while True:
        count = max(1, round(rng.randint(low, high) * _WORDS_A_TOKEN))
        start = rng.randrange(len(words))
        yield Prompt(" ".join(words[(start + n) % len(words)] for n in range(count)))


def read_prompts(path: Path, api: str) -> list[Prompt]:
    """A file of texts, one a line; or, if its name ends in ``.jsonl``, JSON Lines: a string,
    ``{"prompt": …}``, ``{"text": …}`` or, for chat, ``{"messages": […]}``.

    Raises InvalidFile with every wrong line, UsageError if it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"prompts: cannot read {path}: {error}",
            hint="a UTF-8 file with one prompt on each line, or JSON Lines in a .jsonl file",
        ) from error
    found: list[Prompt] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if path.suffix != ".jsonl":
            found.append(Prompt(line))
            continue
        try:
            found.append(_from_json(json.loads(line), api))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(str(path), number, 1, str(error)[:200]))
    if not problems and not found:
        problems.append(Problem(str(path), 0, 0, "expected at least one prompt"))
    if problems:
        raise InvalidFile(problems)
    return found


def _from_json(value: Any, api: str) -> Prompt:
    if isinstance(value, dict):
        messages = value.get("messages")
        if isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages):
            if api != "chat":
                raise ValueError("messages need `api: chat`")
            return Prompt(messages=tuple(messages))
        value = value.get("prompt", value.get("text"))
    if not isinstance(value, str) or not value:
        raise ValueError('expected a string, {"prompt": TEXT} or {"messages": [...]}')
    return Prompt(value)
