"""The contract suite's live half: each fault type once, on a real stack, as the runner does it:
ledger, inject, verify, revert from what the ledger says, verify that it is undone.

The start-up faults come last and one after the other, without waiting for the server between them:
each begins by stopping it, and a clean start that was accepted is what their undo owes.
"""

from __future__ import annotations

import json
import secrets

import pytest

from tests.faults.samples import all_samples
from tests.faults.test_contract import UNPROVABLE
from tests.live.test_undo_live import effects
from vqchaos.clock import RealClock, wait_until
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault, Ticket
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import undo
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.protocols import Capability

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
CLOCK = RealClock()
SAMPLES: dict[str, Fault] = {}
for sample in all_samples().values():
    SAMPLES.setdefault(sample.type, sample)
DOCKERS = [name for name, fault in SAMPLES.items() if Capability.CONTAINERS in fault.needs]
QUIET = [name for name, fault in SAMPLES.items() if not fault.startup and name not in DOCKERS]
STARTUP = [name for name, fault in SAMPLES.items() if fault.startup]


def test_every_type_is_here() -> None:
    """Docker's are in ``test_containers_live``."""
    assert {*QUIET, *STARTUP, *DOCKERS} == set(REGISTRY)


@pytest.mark.parametrize("kind", QUIET)
def test_its_life_on_a_real_stack(live_stack: LocalStack, kind: str) -> None:
    live_once(live_stack, SAMPLES[kind])


@pytest.mark.parametrize("kind", STARTUP)
def test_its_life_around_a_real_start(live_stack_session: LocalStack, kind: str) -> None:
    live_once(live_stack_session, SAMPLES[kind])


def live_once(stack: LocalStack, fault: Fault) -> None:
    proof = "none" if fault.type in UNPROVABLE else "yes"
    ledger = Ledger(stack.state_dir)
    token = "".join(secrets.choice("abcdefgh01234567") for _ in range(8))
    ticket = Ticket("20261101T000000Z-contract-0000", 0, token, CLOCK.wall() + 120.0, seed=7)
    state = json.loads(json.dumps(fault.capture(stack, ticket)))
    entry = Entry(ticket.run + ".0", ticket.run, 0, fault.type, fault.type, None, fault.held, state)
    ledger.record(entry)
    felt: list[bool] = []
    try:
        fault.inject(stack, state, lambda: felt.append(True))
        assert felt == [True]
        answer = fault.verify(stack, state)
        assert answer.answer == proof, answer.why
        if fault.held and fault.type != "command":
            assert effects(stack), "it shows in the world itself"
    finally:
        [on_disk] = ledger.in_force()
        undone = undo(on_disk, stack, ledger)
    assert (undone.done, undone.proof.answer) == (True, proof), undone.proof.why
    assert ledger.in_force() == []
    if fault.held:
        assert wait_until(lambda: effects(stack) == [], 10.0, CLOCK), effects(stack)
    assert type(fault).revert(stack, state) is not None, "a second time does no harm"
