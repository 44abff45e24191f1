"""The fault types: a module here that defines a fault joins by being here.

``REGISTRY`` maps a type's name to its class and is the one list of faults: the YAML, the schema,
the catalogue, the ledger's undo and the contract suite all go by it. ``base`` says what a fault is.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Annotated, Any, get_args

from pydantic import SerializeAsAny, WrapValidator
from pydantic_core import PydanticCustomError

from vqchaos.faults.base import Fault

# Names of the design that later versions bring: an error says so instead of "unknown".
PLANNED = frozenset(
    {
        "bandwidth",
        "blackhole",
        "reset_peer",
        "slicer",
        "limit_data",
        "slow_close",
        "process_terminate",
        "kv_cache_starvation",
        "memory_taken",
        "gpu_missing",
        "hub_unreachable",
        "cpu_hog",
        "memory_hog",
        "disk_full",
        "gpu_memory_hog",
        "gpu_contention",
        "load_spike",
        "client_disconnect",
        "bad_requests",
        "long_prompts",
        "http_error",
        "rate_limit",
        "stream_cut",
        "stream_garbage",
    }
)


def _name_of(cls: type[Fault]) -> str | None:
    """The one value of the class's ``type: Literal[...]``; None for a base class."""
    values = get_args(cls.model_fields["type"].annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _discover() -> dict[str, type[Fault]]:
    registry: dict[str, type[Fault]] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for cls in vars(loaded).values():
            if not (isinstance(cls, type) and issubclass(cls, Fault)):
                continue
            name = _name_of(cls)
            if name is None or cls.__module__ != loaded.__name__:
                continue
            for fact in ("summary", "graceful", "undo", "family", "needs", "held"):
                if not hasattr(cls, fact):
                    raise TypeError(f"fault {name}: no `{fact}` in {cls.__module__}")
            if name in registry:
                raise TypeError(f"two faults are called {name}")
            if name in PLANNED:
                raise TypeError(f"fault {name} exists: take it out of PLANNED")
            registry[name] = cls
    return registry


REGISTRY = _discover()


def _by_type(data: Any, _handler: Any) -> Fault:
    """Validates a mapping with the class that its ``type`` names."""
    if isinstance(data, Fault):
        return data
    if not isinstance(data, dict):
        raise PydanticCustomError("fault_shape", "expected a mapping with a `type`")
    name = data.get("type")
    if name is None:
        raise PydanticCustomError("fault_type_missing", "expected a `type`, such as latency")
    cls = REGISTRY.get(name) if isinstance(name, str) else None
    if cls is None:
        raise PydanticCustomError("unknown_fault", "unknown fault type '{found}'", {"found": name})
    return cls.model_validate(data)


AnyFault = Annotated[SerializeAsAny[Fault], WrapValidator(_by_type)]
