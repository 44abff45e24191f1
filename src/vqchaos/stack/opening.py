"""From a stack file's model to the adapter of its kind, and back from a state folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vqchaos.clock import Clock
from vqchaos.errors import StackError, VqchaosError
from vqchaos.stack.attach import AttachStack
from vqchaos.stack.config import AttachStackFile, LocalStackFile, StackFile
from vqchaos.stack.local.paths import state_home
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.local.state_files import read_json, write_json

AnyStack = LocalStack | AttachStack
_REMEMBERED = "stack.json"


def open_stack(
    stack_file: LocalStackFile | AttachStackFile, path: Path, clock: Clock | None = None
) -> AnyStack:
    """The stack that ``path`` describes. Touches nothing.

    Raises UsageError if the file names something that is not there, once that is asked for.
    """
    if isinstance(stack_file, LocalStackFile):
        return LocalStack(stack_file, path, clock)
    return AttachStack(stack_file, path, clock)


def remember(stack: AnyStack) -> None:
    """Into the stack's state folder (0700): enough to open it again when its file is gone. It is
    the stack file, so it holds what that holds; API keys it names by their variables alone."""
    write_json(stack.state_dir / _REMEMBERED, recipe(stack))


def recipe(stack: AnyStack) -> dict[str, Any]:
    """What ``from_recipe`` needs, in another process."""
    return {"path": str(stack.path), "file": stack.file.model_dump(mode="json", by_alias=True)}


def from_recipe(data: dict[str, Any]) -> AnyStack:
    """Raises KeyError, TypeError or ValidationError if it is none."""
    file = TypeAdapter[LocalStackFile | AttachStackFile](StackFile).validate_python(data["file"])
    return open_stack(file, Path(data["path"]))


def remembered_stacks() -> Iterator[tuple[Path, AnyStack | VqchaosError]]:
    """Every stack of this user that a run was made on: its state folder, and the stack or why it
    cannot be opened (told only if there is a ledger)."""
    for folder in sorted(state_home().glob("stacks/*")):
        ledger = folder / "ledger.jsonl"
        try:
            known = ledger.exists() or (folder / _REMEMBERED).exists()
        except OSError as error:  # a folder of another user's
            yield folder, StackError(f"{folder} cannot be read: {error.strerror}")
            continue
        if not known:
            continue
        try:
            yield folder, from_recipe(read_json(folder / _REMEMBERED) or {})
        except (KeyError, TypeError, ValidationError) as error:
            if not ledger.exists():
                continue
            yield (
                folder,
                StackError(
                    f"{folder / _REMEMBERED} does not say which stack this is: {error}",
                    hint="name the stack's file: `vqchaos heal --stack FILE`",
                ),
            )
