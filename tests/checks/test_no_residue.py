from __future__ import annotations

from tests.checks.judging import result
from tests.histories import World, experiment
from vqchaos.history.events import Residue
from vqchaos.view import RunView

CHECK = {"type": "no_residue"}


def test_nothing_left_passes() -> None:
    assert result(World().inject(), CHECK).verdict == "pass"


def test_what_is_left_is_named() -> None:
    items = [
        {"kind": "process", "name": "4711", "detail": "VLLM::EngineCore"},
        {"kind": "process", "name": "4712", "detail": "VLLM::Worker"},
        {"kind": "shared_memory", "name": "/psm_1", "detail": ""},
        {"kind": "socket", "name": "/tmp/x", "detail": ""},
    ]
    found = result(World().inject().add(Residue(t=46, items=items)), CHECK)
    assert (found.verdict, found.observed) == ("fail", 4)
    assert "4 things behind (2 process, 1 shared memory, 1 socket)" in found.why
    assert "process 4711 (VLLM::EngineCore)" in found.why
    assert "and 1 more" in found.why


def test_where_nobody_looked_it_is_unknown() -> None:
    made = experiment(checks=[CHECK])
    events = [e for e in World().inject().build() if not isinstance(e, Residue)]
    assert made.checks[0].judge(RunView(events, made)).verdict == "unknown"


def _left(**kinds: int) -> list[dict[str, str]]:
    return [
        {"kind": kind, "name": f"/tmp/{kind}{n}", "detail": ""}
        for kind, count in kinds.items()
        for n in range(count)
    ]


ACCEPTS = {**CHECK, "accept": {"socket": 8}}


def test_what_is_accepted_passes_and_stays_a_finding() -> None:
    found = result(World().inject().add(Residue(t=46, items=_left(socket=8))), ACCEPTS)
    assert (found.verdict, found.observed) == ("pass", 0)
    assert found.why == "nothing was left behind but 8 socket, which is accepted"
    assert found.findings == ["the stack left 8 socket behind, accepted"]


def test_more_than_is_accepted_is_all_named() -> None:
    found = result(World().inject().add(Residue(t=46, items=_left(socket=9))), ACCEPTS)
    assert (found.verdict, found.observed) == ("fail", 9)
    assert not found.findings


def test_another_kind_fails_beside_what_is_accepted() -> None:
    items = _left(socket=2, process=1)
    found = result(World().inject().add(Residue(t=46, items=items)), ACCEPTS)
    assert (found.verdict, found.observed) == ("fail", 1)
    assert "1 thing behind (1 process): process /tmp/process0" in found.why
    assert found.findings == ["the stack left 2 socket behind, accepted"]
