from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes import free_port
from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.errors import StackError
from vqchaos.stack.protocols import Toxic
from vqchaos.stack.toxics import ATTRIBUTES, check
from vqchaos.stack.toxiproxy import ToxiproxyControl

TIMEOUT = 5.0  # where an answer comes; a busy machine must not fail the test
BRIEF = 0.5  # where none comes
OURS = Toxic("vqchaos.r.1.5", "latency", "downstream", 1.0, {"latency": 100, "jitter": 0})
THEIRS = Toxic("theirs", "latency", "upstream", 0.5, {"latency": 7, "jitter": 3})
ODD = Toxic("odd", "latency", "upstream", 7.0, {"latency": 1, "jitter": 2})  # add() refuses it


@pytest.fixture
def toxiproxy() -> Iterator[FakeToxiproxy]:
    with FakeToxiproxy() as server:
        yield server


def control_of(server: FakeToxiproxy, name: str = "llm") -> ToxiproxyControl:
    control = ToxiproxyControl(server.url, name, server.url, timeout=TIMEOUT)
    control.ensure_proxy("127.0.0.1:9", "127.0.0.1:10")
    return control


def brief(server: FakeToxiproxy) -> ToxiproxyControl:
    """The same proxy, of which no answer is expected any more."""
    return ToxiproxyControl(server.url, "llm", server.url, timeout=BRIEF)


@pytest.fixture
def control(toxiproxy: FakeToxiproxy) -> ToxiproxyControl:
    return control_of(toxiproxy)


def make(kind: str = "latency", **change: Any) -> Toxic:
    attributes = {name: max(low, 1) for name, (low, _) in ATTRIBUTES.get(kind, {}).items()}
    attributes |= change.pop("attributes", {})
    for name in change.pop("without", ()):
        del attributes[name]
    base: dict[str, Any] = {"name": "t", "stream": "downstream", "toxicity": 1.0}
    return Toxic(type=kind, attributes=attributes, **{**base, **change})


# ---------------------------------------------------------------- what never reaches the server


@pytest.mark.parametrize("kind", list(ATTRIBUTES))
def test_every_type_in_good_order_passes(kind: str) -> None:
    check(make(kind))


@pytest.mark.parametrize(
    ("toxic", "said"),
    [
        # The three that kill the whole server:
        (make("slicer", without=["average_size", "size_variation", "delay"]), "slicer needs"),
        (make("slicer", attributes={"average_size": 5, "size_variation": 6}), "kills the server"),
        (make("bandwidth", attributes={"rate": -1}), r"bandwidth\.rate: expected 0 to"),
        # Those it takes for something else:
        (make(attributes={"latncy": 5}), "no attribute latncy"),
        (make(without=["jitter"]), "latency needs jitter"),
        (make(attributes={"latency": 1.5}), "whole"),
        (make(attributes={"latency": True}), "whole"),
        (make(attributes={"latency": -1}), r"latency\.latency: expected 0 to"),
        (make(attributes={"latency": 2**31}), r"latency\.latency: expected 0 to"),
        (make(toxicity=7.0), "toxicity: expected 0 to 1"),
        (make(toxicity=float("nan")), "toxicity: expected 0 to 1"),
        (make("reset_peer", toxicity=0), "resets even with toxicity 0"),
        (make(stream="sideways"), "upstream or downstream"),
        (make("packet_loss"), "no toxic of type 'packet_loss'"),
        (make(name="a/b"), "slash"),
        (make(name=""), "slash"),
    ],
)
def test_what_the_server_would_misread_or_die_of_is_refused(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy, toxic: Toxic, said: str
) -> None:
    toxiproxy.requests.clear()
    with pytest.raises(StackError, match=said):
        control.add(toxic)
    assert toxiproxy.requests == []


@pytest.mark.parametrize("name", ["a/b", ""])
def test_a_proxy_that_could_never_be_deleted_is_refused(name: str) -> None:
    with pytest.raises(StackError, match="never be deleted"):
        ToxiproxyControl("http://127.0.0.1:1", name, "http://127.0.0.1:1")


# ---------------------------------------------------------------- the plain way


def test_add_list_remove(control: ToxiproxyControl) -> None:
    control.add(THEIRS)
    control.add(OURS)
    assert control.toxics() == [THEIRS, OURS]
    assert control.remove(OURS.name) == "removed"
    assert control.remove(OURS.name) == "absent"
    assert control.toxics() == [THEIRS]


def test_a_name_with_odd_characters_is_quoted(control: ToxiproxyControl) -> None:
    odd = make(name="ü 50%25 ?#")
    control.add(odd)
    assert control.remove(odd.name) == "removed"
    assert control.toxics() == []


def test_adding_it_twice_is_an_error_of_ours(control: ToxiproxyControl) -> None:
    control.add(OURS)
    with pytest.raises(StackError, match=f"called {OURS.name} already") as caught:
        control.add(OURS)
    assert caught.value.hint == "`vqchaos heal`"


def test_a_toxic_that_the_server_stored_otherwise_is_an_error(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    toxiproxy.alters = {"latency": 0}
    with pytest.raises(StackError, match="otherwise than asked"):
        control.add(OURS)


def test_a_toxic_that_the_server_refuses_is_an_error(control: ToxiproxyControl) -> None:
    with pytest.raises(StackError, match=r"refused: .*invalid toxic type.*the toxic t"):
        control.add(make("limit_data"))  # the fake does not know it


def test_set_enabled_is_idempotent(control: ToxiproxyControl, toxiproxy: FakeToxiproxy) -> None:
    control.set_enabled(False)
    control.set_enabled(False)
    assert control.enabled() is False
    assert toxiproxy.requests.count("POST /proxies/llm") == 1
    control.set_enabled(True)
    assert control.enabled() is True


def test_ensure_proxy_keeps_a_good_one_and_replaces_another(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(OURS)
    control.set_enabled(False)
    control.ensure_proxy("127.0.0.1:9", "127.0.0.1:10")
    assert control.enabled()
    assert control.toxics() == [OURS]
    control.ensure_proxy("127.0.0.1:9", "127.0.0.1:11")
    assert toxiproxy.proxies["llm"]["upstream"] == "127.0.0.1:11"
    assert control.toxics() == []


def test_version(control: ToxiproxyControl) -> None:
    assert control.version() == "2.12.0"
    control.wait_ready(TIMEOUT)


def test_reset_is_never_used(control: ToxiproxyControl, toxiproxy: FakeToxiproxy) -> None:
    control.add(OURS)
    toxiproxy.hang = "DELETE .*/toxics/"
    brief(toxiproxy).remove(OURS.name)
    assert not any("/reset" in request for request in toxiproxy.requests)


# ---------------------------------------------------------------- two servers at once


def test_two_servers_at_once_do_not_mix(toxiproxy: FakeToxiproxy) -> None:
    with FakeToxiproxy() as other:
        first, second = control_of(toxiproxy), control_of(other)
        first.add(OURS)
        second.add(THEIRS)
        assert first.toxics() == [OURS]
        assert second.toxics() == [THEIRS]


def test_two_servers_from_two_threads_do_not_mix(toxiproxy: FakeToxiproxy) -> None:
    with FakeToxiproxy() as other:
        controls = [control_of(toxiproxy), control_of(other)]
        problems: list[Exception] = []

        def work(control: ToxiproxyControl, prefix: str) -> None:
            try:
                for n in range(10):
                    control.add(make("noop", name=f"{prefix}{n}"))
            except Exception as error:
                problems.append(error)

        threads = [
            threading.Thread(target=work, args=(control, prefix))
            for control, prefix in zip(controls, "ab", strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        for control, prefix in zip(controls, "ab", strict=True):
            assert [t.name for t in control.toxics()] == [f"{prefix}{n}" for n in range(10)]


# ---------------------------------------------------------------- a server that misbehaves

CALLS: dict[str, Callable[[ToxiproxyControl], object]] = {
    "toxics": lambda c: c.toxics(),
    "add": lambda c: c.add(OURS),
    "remove": lambda c: c.remove(OURS.name) != "absent",
    "enabled": lambda c: c.enabled(),
    "set_enabled": lambda c: c.set_enabled(False),
    "exists": lambda c: c.exists(),
    "version": lambda c: c.version(),
    "ensure_proxy": lambda c: c.ensure_proxy("127.0.0.1:9", "127.0.0.1:10"),
}
HANGS = pytest.mark.timeout(30)  # a call that ignores its own 0.1 s never ends
each_call = pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))


@HANGS
@each_call
def test_a_mute_port_is_an_error_in_bounded_time(call: Callable[..., object]) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(StackError, match="no answer"):
            call(ToxiproxyControl(url, "llm", url, timeout=0.1))


@HANGS
@each_call
def test_a_dripping_server_is_an_error_in_bounded_time(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy, call: Callable[..., object]
) -> None:
    toxiproxy.drip = "."  # each byte in time, the answer never: a socket timeout does not help
    with pytest.raises(StackError, match="no answer"):
        call(brief(toxiproxy))


@each_call
def test_a_500_is_an_error_with_the_servers_words(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy, call: Callable[..., object]
) -> None:
    toxiproxy.fail = "."
    with pytest.raises(StackError, match=r"answered 500: .*address already in use"):
        call(control)


@each_call
@pytest.mark.parametrize("page", ["<html>hello</html>", "[]", "{}", '{"llm": 3}', "7"])
def test_another_program_on_the_port_is_an_error(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy, call: Callable[..., object], page: str
) -> None:
    toxiproxy.wrong = page
    # {} is a Toxiproxy without proxies, as far as anyone can tell: only a false answer is wrong.
    with contextlib.suppress(StackError):
        assert not call(control)


@each_call
def test_a_404_for_everything_is_an_error_of_ours(call: Callable[..., object]) -> None:
    with FakeToxiproxy() as other:
        url = f"{other.url}/some/other/api"
        control = ToxiproxyControl(url, "llm", url, timeout=TIMEOUT)
        with pytest.raises(StackError, match="does not answer as a Toxiproxy does"):
            call(control)


@pytest.mark.parametrize("name", ["toxics", "add", "enabled", "set_enabled"])
def test_nobody_there_is_an_error(name: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StackError, match="cannot be reached"):
        CALLS[name](ToxiproxyControl(url, "llm", url, timeout=TIMEOUT))


def test_one_of_our_own_whose_process_is_gone_is_gone() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    control = ToxiproxyControl(url, "llm", url, timeout=TIMEOUT, gone=lambda: True)
    assert control.exists() is False
    assert control.remove(OURS.name) == "absent"
    with pytest.raises(StackError, match="cannot be reached"):
        control.wait_ready(0.0)


@pytest.mark.parametrize("gone", [None, lambda: False], ids=["a stranger's", "of our own"])
@pytest.mark.parametrize("where", ["127.0.0.1", "no-such-host.invalid"])
def test_that_nobody_answers_does_not_prove_that_it_is_gone(
    gone: Callable[[], bool] | None, where: str
) -> None:
    """A broken tunnel or a name that does not resolve: the toxic may be in force all the same."""
    url = f"http://{where}:{free_port()}"
    control = ToxiproxyControl(url, "llm", url, timeout=5.0, gone=gone)
    for call in (control.exists, lambda: control.remove(OURS.name)):
        with pytest.raises(StackError, match="cannot be reached"):
            call()


def test_what_was_given_up_changes_nothing_afterwards(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    """The listing that comes before the change is slow; whoever asked has gone on to the undo."""
    slow = threading.Event()
    answer = toxiproxy._answer

    def answering(handler: Any, body: Any) -> None:
        if handler.command == "GET":
            slow.wait(10)
        answer(handler, body)

    toxiproxy._answer = answering  # type: ignore[method-assign]
    impatient = ToxiproxyControl(toxiproxy.url, "llm", toxiproxy.url, timeout=0.2)
    toxiproxy.requests.clear()
    opening = threading.Timer(0.6, slow.set)
    opening.start()
    with pytest.raises(StackError, match="no answer"):
        impatient.add(OURS)
    opening.join()
    assert not any(request.startswith("POST") for request in toxiproxy.requests)
    assert control.toxics() == []


def test_a_hostile_answer_is_shown_as_one_clean_line(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    toxiproxy.fail = "."
    toxiproxy.says = "\x1b]0;title\x07busy\x1b[31m"
    with pytest.raises(StackError) as raised:
        control.toxics()
    assert "busy" in raised.value.message
    assert "\x1b" not in raised.value.message


def test_a_restarted_server_has_no_proxy(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(OURS)
    toxiproxy.proxies.clear()
    assert control.exists() is False
    assert control.remove(OURS.name) == "absent"
    with pytest.raises(StackError, match="no proxy called llm"):
        control.add(OURS)


# ---------------------------------------------------------------- removal that hangs


def test_a_hanging_removal_recreates_the_proxy_with_strangers_toxics(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(THEIRS)
    control.add(OURS)
    toxiproxy.proxies["llm"]["toxics"].append(dataclasses.asdict(ODD))
    toxiproxy.hang = "DELETE .*/toxics/"
    assert brief(toxiproxy).remove(OURS.name) == "recreated"
    proxy = toxiproxy.proxies["llm"]
    assert (proxy["listen"], proxy["upstream"], proxy["enabled"]) == (
        "127.0.0.1:9",
        "127.0.0.1:10",
        True,
    )
    assert control.toxics() == [THEIRS, ODD], "also one that we would not have added ourselves"


def test_a_hanging_removal_leaves_a_disabled_proxy_disabled(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(OURS)
    control.set_enabled(False)
    toxiproxy.hang = "DELETE .*/toxics/"
    assert brief(toxiproxy).remove(OURS.name) == "recreated"
    assert control.enabled() is False


def test_a_removal_that_worked_but_answered_500_recreates_nothing(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(THEIRS)
    toxiproxy.fail = "DELETE .*/toxics/"
    control.add(OURS)
    toxiproxy.requests.clear()
    listed = toxiproxy.proxies["llm"]["toxics"]
    answer = toxiproxy._send

    def send(handler: Any, status: int, data: Any) -> None:
        if status == 500:
            listed[:] = [t for t in listed if t["name"] != OURS.name]
        answer(handler, status, data)

    toxiproxy._send = send  # type: ignore[method-assign]
    assert control.remove(OURS.name) == "removed"
    assert "DELETE /proxies/llm" not in toxiproxy.requests
    assert control.toxics() == [THEIRS]


def test_a_proxy_whose_removal_hangs_too_is_an_error(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(OURS)
    toxiproxy.hang = "DELETE"
    with pytest.raises(StackError, match="no answer"):
        brief(toxiproxy).remove(OURS.name)


def own(toxiproxy: FakeToxiproxy) -> ToxiproxyControl:
    """A Toxiproxy that may be restarted: then its proxy is there again, on and without toxics."""

    def restart() -> None:
        toxiproxy.hang = ""
        toxiproxy.proxies["llm"] |= {"enabled": True, "toxics": []}

    return ToxiproxyControl(toxiproxy.url, "llm", toxiproxy.url, timeout=0.3, restart=restart)


def test_one_of_our_own_that_hangs_for_good_is_restarted_and_strangers_toxics_put_back(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(THEIRS)
    control.add(OURS)
    toxiproxy.hang = "DELETE"
    assert own(toxiproxy).remove(OURS.name) == "restarted"
    assert control.toxics() == [THEIRS]


def test_only_a_hung_one_of_our_own_is_revived(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    control.add(OURS)
    assert own(toxiproxy).revive() is False
    assert control.toxics() == [OURS]
    toxiproxy.hang = "."
    with pytest.raises(StackError, match="no answer"):
        brief(toxiproxy).revive()
    assert own(toxiproxy).revive() is True
    assert control.toxics() == []


# ---------------------------------------------------------------- a timed exchange


def test_a_timed_exchange(control: ToxiproxyControl) -> None:
    took = control.timed_connect(1.0)
    assert took is not None
    assert 0 < took < 1


def test_an_exchange_without_an_answer_is_none(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    toxiproxy.hang = "GET /health"
    assert control.timed_connect(0.1) is None


@HANGS
def test_an_exchange_with_a_dripping_server_is_bounded(
    control: ToxiproxyControl, toxiproxy: FakeToxiproxy
) -> None:
    toxiproxy.drip = "GET /health"
    assert control.timed_connect(0.1) is None
