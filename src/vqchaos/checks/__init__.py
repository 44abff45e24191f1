"""The checks. ``REGISTRY`` maps a check's type to its class; a module here joins by being here.

One file a check, named as its type; ``base`` says what a check is. ``AnyCheck`` is the field type
for models: a mapping whose ``type`` picks the class.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from vqchaos.checks.base import Check, Known, Result, Verdict, worst

# Names of the design that this version does not have.
PLANNED: frozenset[str] = frozenset()


def _name_of(cls: type[Check]) -> str | None:
    """The one value of the class's ``type: Literal[...]``; None for a base class."""
    values = get_args(cls.model_fields["type"].annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _discover() -> dict[str, type[Check]]:
    """Every check of this package. A module without one is a helper; a duplicate is a bug."""
    found: dict[str, type[Check]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for cls in vars(module).values():
            if not (isinstance(cls, type) and issubclass(cls, Check)):
                continue
            name = _name_of(cls)
            if name is None or cls.__module__ != module.__name__:
                continue
            if name in found or name in PLANNED:
                raise TypeError(f"check {name} is there twice, or still in PLANNED")
            found[name] = cls
    return dict(sorted(found.items()))


REGISTRY: dict[str, type[Check]] = _discover()


def _unknown(name: object) -> ValidationError:
    """The error of a `type` that names no check, placed at the `type` itself."""
    why = f"check '{name}' is not in this version" if str(name) in PLANNED else f"no check '{name}'"
    error = PydanticCustomError("unknown_check", "{why}", {"found": str(name), "why": why})
    details = InitErrorDetails(type=error, loc=("type",), input=name)
    return ValidationError.from_exception_data("check", [details])


def _pick(data: Any, _inner: Any) -> Check:
    """The check of a mapping; its errors keep their place in it."""
    if isinstance(data, Check):
        return data
    if not isinstance(data, Mapping):
        raise PydanticCustomError("check_shape", "expected a mapping with a `type`")
    name = data.get("type")
    if name is None:
        raise PydanticCustomError("check_type_missing", "expected a `type`, such as recovery_time")
    cls = REGISTRY.get(name) if isinstance(name, str) else None
    if cls is None:
        raise _unknown(name)
    return cls.model_validate(data)


class _Registered:
    """Validates by ``_pick``; for JSON Schema and for writing it is the union of all checks."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        union = core_schema.union_schema([handler(check) for check in REGISTRY.values()])
        return core_schema.no_info_wrap_validator_function(_pick, union)


AnyCheck = Annotated[Check, _Registered]

__all__ = ["PLANNED", "REGISTRY", "AnyCheck", "Check", "Known", "Result", "Verdict", "worst"]
