"""Hypothesis strategies for faults, schedules of faults, and experiments: what a property test
draws is what an experiment's YAML could say, and no more.

    from hypothesis import given
    from vqchaos.strategies import faults, schedules

    @given(schedules(types=["latency", "proxy_down"], phase="10s"))
    def test_my_planner(schedule): ...

Nothing here touches a stack. Hypothesis is an extra: ``pip install 'vqchaos[hypothesis]'``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import TypeAdapter

from vqchaos.errors import UsageError
from vqchaos.experiment.model import Experiment
from vqchaos.experiment.rules import LEAST_EVERY
from vqchaos.faults import REGISTRY, AnyFault
from vqchaos.faults.base import Fault
from vqchaos.units import duration_text, parse_duration

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "vqchaos.strategies needs Hypothesis: pip install 'vqchaos[hypothesis]'"
    ) from error

__all__ = ["experiments", "faults", "schedules"]

Settings = dict[str, Any]
_FAULT: TypeAdapter[Fault] = TypeAdapter(AnyFault)
_LEAST_EVERY = round(LEAST_EVERY * 1000)


def faults(
    types: Iterable[str] | None = None, *, held: bool | None = None, replicas: int = 1
) -> st.SearchStrategy[Fault]:
    """One fault, for a block that holds it: without ``at``, ``for`` and ``every``.

    ``types``: names as in the YAML, default all there are; an example shrinks to the one that needs
    the fewest settings, the first of several such. ``held``: only those that stay until they are
    reverted, or only those that are instant. ``replicas``: how many the stack has; with one, every
    target is the whole role and every link the clients'. Raises UsageError for a type that does not
    exist, or if nothing is left.
    """
    return _settings(types, held, replicas).map(_FAULT.validate_python)


def schedules(
    types: Iterable[str] | None = None,
    *,
    held: bool | None = None,
    replicas: int = 1,
    phase: str = "10s",
    max_size: int = 3,
) -> st.SearchStrategy[list[Fault]]:
    """The faults of one experiment whose fault phase lasts ``phase``: one to ``max_size`` with
    names of their own, each with an ``at`` and maybe a ``for`` and an ``every`` within the phase;
    at most one of the next start. Two may hit the same target at the same time, which an experiment
    may too. Otherwise as ``faults``. Raises ValueError for a phase that is no duration.
    """
    milliseconds = int(parse_duration(phase) * 1000)
    if milliseconds < 1 or max_size < 1:
        raise UsageError("schedules: expected a phase of at least 1ms, and max_size of at least 1")
    return _schedule(_settings(types, held, replicas), milliseconds, max_size)


def experiments(
    types: Iterable[str] | None = None,
    *,
    held: bool | None = None,
    replicas: int = 1,
    phase: str = "10s",
    max_size: int = 3,
) -> st.SearchStrategy[Experiment]:
    """An experiment called ``drawn`` with a schedule and a seed, and otherwise an experiment's
    defaults: no checks. Arguments and errors as of ``schedules``."""

    def made(schedule: list[Fault], seed: int) -> Experiment:
        return Experiment(
            name="drawn",
            seed=seed,
            faults=schedule,
            max_targets=replicas,
            phases={"fault": phase},  # type: ignore[arg-type]  # as the YAML says it
        )

    drawn = schedules(types, held=held, replicas=replicas, phase=phase, max_size=max_size)
    return st.builds(made, drawn, st.integers(0, 2**31 - 1))


# ---------------------------------------------------------------- when


@st.composite
def _schedule(
    draw: st.DrawFn, settings: st.SearchStrategy[Settings], phase: int, max_size: int
) -> list[Fault]:
    """``phase`` in milliseconds."""
    out: list[Fault] = []
    for what in draw(st.lists(settings, min_size=1, max_size=max_size)):
        fault = _FAULT.validate_python(what)
        if fault.startup and any(other.startup for other in out):
            continue  # two of one start cannot be told apart; the first is never left out
        same = sum(other.type == fault.type for other in out)
        named = {"name": f"{fault.type}-{same + 1}"} if same else {}
        out.append(_FAULT.validate_python({**what, **named, **_times(draw, fault, phase)}))
    return out


def _times(draw: st.DrawFn, fault: Fault, phase: int) -> Settings:
    at = draw(st.integers(0, phase - 1))
    left = phase - at
    times: Settings = {"at": _text(at)}
    # Drawn for all: an example shrinks to fewer draws, which would favour the instant ones.
    long = draw(st.none() | st.integers(1, left))
    if not fault.is_held:
        long = None
    if long is not None:
        times["for"] = _text(long)
    if fault.startup or fault.type == "external" or (fault.is_held and long is None):
        return times  # these are not repeated within a run
    least = max(_LEAST_EVERY, (long or 0) + 1)
    if least < left and (every := draw(st.none() | st.integers(least, left - 1))) is not None:
        times["every"] = _text(every)
    return times


# ---------------------------------------------------------------- what


def _settings(
    types: Iterable[str] | None, held: bool | None, replicas: int
) -> st.SearchStrategy[Settings]:
    if replicas < 1:
        raise UsageError(f"strategies: replicas is {replicas}, expected at least 1")
    chosen = list(SETTINGS) if types is None else [*types]
    for name in chosen:
        if name not in SETTINGS:
            close = difflib.get_close_matches(name, SETTINGS, n=1)
            guess = f" (did you mean '{close[0]}'?)" if close else ""
            raise UsageError(f"no fault is called '{name}'{guess}", hint="`vqchaos faults`")
    found = [
        st.tuples(st.just(name), SETTINGS[name](replicas, held)).map(_with_type)
        for name in chosen
        if name == "command" or held in (None, REGISTRY[name].held)
    ]
    if not found:
        kind = "held" if held else "instant"
        raise UsageError(f"strategies: no type of {', '.join(chosen) or 'none'} is {kind}")
    return st.one_of(found)


def _with_type(drawn: tuple[str, Settings]) -> Settings:
    return {"type": drawn[0], **drawn[1]}


def _text(milliseconds: int) -> str:
    return duration_text(milliseconds / 1000)


def _ms(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(_text)


def _some(required: Settings | None = None, **optional: Any) -> st.SearchStrategy[Settings]:
    """``optional`` ones may be left out, which is what an example shrinks to."""
    return st.fixed_dictionaries(required or {}, optional=optional)


def _which(replicas: int) -> st.SearchStrategy[Any]:
    return st.sampled_from(["all", "any", *range(1, replicas + 1)])


def _target(replicas: int, *roles: str) -> st.SearchStrategy[Any]:
    role = st.sampled_from(roles)
    if replicas == 1:
        return role
    several = st.builds(
        lambda role, count: {"role": role, "replica": "any", "count": count},
        role,
        st.integers(1, replicas),
    )
    numbered = st.fixed_dictionaries({"role": role, "replica": _which(replicas)})
    return role | numbered | several


def _proxy(replicas: int, **more: Any) -> st.SearchStrategy[Settings]:
    """On the clients' link, or on those of the replicas."""
    link = st.just("router-replica")
    apart = _some({"link": link}, replica=_which(replicas), **more)
    return _some(None, **more) if replicas == 1 else _some(None, **more) | apart


def _latency(replicas: int, _held: bool | None) -> st.SearchStrategy[Settings]:
    more = {
        "jitter": _ms(0, 500),
        "stream": st.sampled_from(["downstream", "upstream"]),
        "toxicity": st.integers(1, 100).map(lambda percent: f"{percent}%"),
    }
    delayed = st.tuples(_proxy(replicas, **more), _ms(1, 3000))
    return delayed.map(lambda both: {**both[0], "latency": both[1]})


def _process(replicas: int, _held: bool | None) -> st.SearchStrategy[Settings]:
    return _some(target=_target(replicas, "engine", "server", "worker"))


def _container(**more: Any) -> Callable[[int, bool | None], st.SearchStrategy[Settings]]:
    def made(replicas: int, _held: bool | None) -> st.SearchStrategy[Settings]:
        return _some(target=_target(replicas, "server", "router", "proxy"), **more)

    return made


def _start(replicas: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(1, replicas).map(lambda number: {"role": "server", "replica": number})
    return st.just("server") | numbers


def _corruption(replicas: int, _held: bool | None) -> st.SearchStrategy[Settings]:
    more: Settings = {"target": _start(replicas)}
    whole = st.sampled_from(["truncate", "header", "config", "tokenizer"])
    flips: Settings = {
        "count": st.integers(1, 1000),
        "tensor": st.sampled_from(["*", "*.weight", "model.layers.0.*"]),
    }
    return (
        _some({"mode": whole}, **more)
        | _some({"mode": st.just("bit_flip")}, **more, **flips, bit=st.integers(0, 15))
        | _some({"mode": st.just("exponent_flip")}, **more, **flips)
    )


def _command(_replicas: int, held: bool | None) -> st.SearchStrategy[Settings]:
    """Commands that do nothing: what is drawn may be run."""
    nothing = st.sampled_from([["true"], ["sh", "-c", ":"]])
    more = {"verify": nothing, "timeout": _ms(1000, 60_000)}
    kinds = [
        _some({"inject": nothing, "revert": nothing}, **more),
        _some({"inject": nothing, "held": st.just(False)}, **more),
    ]
    return st.one_of(kinds if held is None else [kinds[0] if held else kinds[1]])


# Name → its settings but for `type`, `name` and the times; the plainest first, for shrinking.
SETTINGS: dict[str, Callable[[int, bool | None], st.SearchStrategy[Settings]]] = {
    "proxy_down": lambda replicas, _: _proxy(replicas),
    "latency": _latency,
    "process_pause": _process,
    "process_kill": _process,
    "container_pause": _container(),
    "container_cpu": _container(cpus=st.integers(1, 400).map(lambda hundredths: hundredths / 100)),
    "container_disconnect": _container(network=st.sampled_from(["front", "back"])),
    "container_memory": _container(margin=st.integers(6, 512).map(lambda mib: f"{mib}MiB")),
    "container_stop": _container(grace=_ms(0, 30_000)),
    "container_restart": _container(grace=_ms(0, 30_000)),
    "container_kill": _container(via=st.sampled_from(["crash", "docker"])),
    "dns_failure": _container(how=st.sampled_from(["refused", "silent"])),
    "model_corruption": _corruption,
    "oversized_model": lambda replicas, _: _some(
        target=_start(replicas),
        layers=st.integers(1, 512),
        hidden=st.integers(2, 256).map(lambda blocks: 128 * blocks),
    ),
    "port_conflict": lambda replicas, _: _some(target=_start(replicas)),
    "command": _command,
    "external": lambda _replicas, _held: st.just({}),
}
