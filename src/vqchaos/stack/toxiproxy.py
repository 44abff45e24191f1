"""One Toxiproxy proxy, driven through toxiproxy-python and guarded against what both get wrong.

The client (0.1.1, 2019) keeps host and port in a class, so that a second server redirects the
first; has no timeouts; hides 5xx answers; and quotes nothing. The server (2.12) dies of some
attributes, takes misspelt ones for 0, may hang when a toxic is removed, and loses everything when
it restarts. ``/reset`` is never used: it would drop strangers' toxics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import requests
import toxiproxy.api
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from vqchaos.errors import StackError
from vqchaos.stack.protocols import Removal, Toxic
from vqchaos.stack.toxics import check
from vqchaos.text import one_line
from vqchaos.units import format_duration

T = TypeVar("T")
CALL_TIMEOUT = 3.0  # seconds; a sound server answers in milliseconds
_SOCKET_TIMEOUT = 2.0
_RESTARTS = 2.0  # seconds a killed Toxiproxy takes to listen again
# A removal waits 5 s for each chunk that is held for a client which died: as good as hung.
_REMOVAL = 1.0
_HINT = "is the stack up? `vqchaos status`"


class _NoAnswer(StackError):
    """The server holds the line and says nothing."""


class _Http:
    """Stands in for the ``requests`` module inside toxiproxy-python: timeouts on every call, names
    quoted, 5xx raised, and the server's address taken from the calling thread, not from a class."""

    def __init__(self) -> None:
        self._here = threading.local()

    def address(self, base: str, given_up: threading.Event) -> None:
        """All calls of this thread go to ``base``, until nobody waits for them any more."""
        self._here.base = base
        self._here.given_up = given_up

    def about_to_change(self) -> None:
        """Raises StackError if whoever asked for it is gone: an undo may have been here since."""
        if self._here.given_up.is_set():
            raise StackError("given up before anything was changed")

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._call("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._call("POST", url, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        return self._call("DELETE", url, **options)

    def _call(self, method: str, url: str, **options: Any) -> requests.Response:
        path = quote("/" + url.split("/", 3)[3])  # raw: the names in it may hold ?, # and %
        with requests.Session() as session:
            session.trust_env = False  # an HTTP_PROXY of the user's is not the way to loopback
            response = session.request(
                method, self._here.base + path, timeout=_SOCKET_TIMEOUT, **options
            )
        if response.status_code >= 500:
            said = one_line(response.text, 200)
            raise StackError(f"Toxiproxy answered {response.status_code}: {said}")
        return response


_http = _Http()
toxiproxy.api.requests = _http


def _words(error: Exception) -> str:
    """What the server said; toxiproxy-python keeps it as bytes."""
    said = error.args[0] if error.args else ""
    return one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else said, 200)


class ToxiproxyControl:
    """Implements ``protocols.ProxyControl`` for the proxy called ``proxy``. ``probe_url`` is where
    clients go, for a timed exchange through the proxy; None for one that no client reaches."""

    def __init__(
        self,
        api_url: str,
        proxy: str,
        probe_url: str | None,
        *,
        timeout: float = CALL_TIMEOUT,
        restart: Callable[[], None] | None = None,
        gone: Callable[[], bool] | None = None,
    ) -> None:
        """``restart`` and ``gone`` for a Toxiproxy of the stack's own: how it is restarted, and
        whether its process is known to be gone. That it cannot be reached proves nothing: a name
        that does not resolve or a tunnel that broke looks the same."""
        if not proxy or "/" in proxy:
            raise StackError(f"a proxy whose name holds a slash can never be deleted: {proxy!r}")
        self._base = api_url.rstrip("/")
        self._name = proxy
        self._probe_url = None if probe_url is None else probe_url.rstrip("/")
        self._timeout = timeout
        self._restart = restart
        self._is_gone = gone
        self._others: list[Toxic] = []  # on the proxy beside the one that is being removed
        self._client = Toxiproxy()

    # ------------------------------------------------------------ the protocol

    def toxics(self) -> list[Toxic]:
        return self._call(lambda: self._toxics(self._proxy()))

    def add(self, toxic: Toxic) -> None:
        check(toxic)
        self._put(toxic)

    def _put(self, toxic: Toxic) -> None:
        def work() -> Toxic | None:
            proxy = self._proxy()
            _http.about_to_change()
            proxy.add_toxic(
                name=toxic.name,
                type=toxic.type,
                stream=toxic.stream,
                toxicity=toxic.toxicity,
                attributes=dict(toxic.attributes),
            )
            return next((t for t in self._toxics(proxy) if t.name == toxic.name), None)

        try:
            found = self._call(work, settle=True)
        except StackError as error:
            if isinstance(error.__cause__, ProxyExists):
                raise StackError(
                    f"the proxy has a toxic called {toxic.name} already", hint="`vqchaos heal`"
                ) from error
            if isinstance(error.__cause__, InvalidToxic):
                raise StackError(f"{error.message} (the toxic {toxic.name})") from error
            raise
        if found is None or dict(found.attributes) != dict(toxic.attributes):
            raise StackError(f"Toxiproxy took the toxic {toxic.name} otherwise than asked: {found}")

    def revive(self) -> bool:
        try:
            self.exists()
        except StackError:
            if self._restart is None:
                raise
            try:  # one that was just started by its supervisor does not listen yet
                self.wait_ready(_RESTARTS)
            except StackError:
                self._restart()
                return True
        return False

    def remove(self, name: str) -> Removal:
        self._others = []
        try:
            return self._remove(name)
        except _NoAnswer:
            # Any listing that waits behind the removal keeps the proxy from being deleted.
            if self._restart is None:
                raise
            self._restart()
            for toxic in self._others:
                self._put(toxic)
            return "restarted"

    def _remove(self, name: str) -> Removal:
        if not self.exists():
            return "absent"
        proxy = self._call(self._proxy)
        before = self.toxics()
        self._others = [toxic for toxic in before if toxic.name != name]
        if len(self._others) == len(before):
            return "absent"
        try:
            limit = min(self._timeout, _REMOVAL)
            self._call(lambda: self._proxy().destroy_toxic(name), limit)
        except _NoAnswer:
            # It blocks behind a pending reset or a full buffer, and so would every listing from
            # now on. Deleting the whole proxy does not, if it is the very next call.
            pass
        except StackError as error:
            if isinstance(error.__cause__, NotFound):
                return "absent"
            proxy = self._call(self._proxy)
            if all(toxic.name != name for toxic in self.toxics()):
                return "removed"
        else:
            return "removed"
        self._recreate(proxy, self._others)
        return "recreated"

    def enabled(self) -> bool:
        return self._call(lambda: bool(self._proxy().enabled))

    def set_enabled(self, enabled: bool) -> None:
        def work() -> bool:
            proxy = self._proxy()
            if proxy.enabled != enabled:
                _http.about_to_change()
                if enabled:
                    proxy.enable()
                else:
                    proxy.disable()
            return bool(self._proxy().enabled)

        if self._call(work, settle=True) != enabled:
            raise StackError(f"Toxiproxy left the proxy {'off' if enabled else 'on'}")

    def exists(self) -> bool:
        try:
            return self._call(lambda: self._client.get_proxy(self._name) is not None)
        except StackError as error:
            unreachable = isinstance(error.__cause__, requests.ConnectionError)
            if unreachable and self._is_gone is not None and self._is_gone():
                return False  # its state died with it
            raise

    def timed_connect(self, timeout: float) -> float | None:
        if self._probe_url is None:
            raise StackError(f"the port of the proxy {self._name} is not reached from here")

        def work() -> float:
            began = time.monotonic()
            with requests.Session() as session:
                session.trust_env = False
                session.get(f"{self._probe_url}/health", timeout=timeout, allow_redirects=False)
            return time.monotonic() - began

        try:
            return self._call(work, timeout)
        except StackError:
            return None

    # ------------------------------------------------------------ for bringing a stack up

    def ensure_proxy(self, listen: str, upstream: str) -> None:
        """The proxy exists, enabled, with these addresses. Idempotent.

        Raises StackError with the server's words if its port is taken.
        """
        proxy = self._call(lambda: self._client.get_proxy(self._name))
        if proxy is not None and (proxy.listen, proxy.upstream) == (listen, upstream):
            self.set_enabled(True)
            return
        if proxy is not None:
            self._call(proxy.destroy)
        self._call(
            lambda: self._client.create(
                upstream=upstream, name=self._name, listen=listen, enabled=True
            )
        )

    def wait_ready(self, timeout: float) -> None:
        """Until the API answers. Raises StackError when the time is up."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.version()
            except StackError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def wait_for_proxy(self, timeout: float) -> None:
        """Until a Toxiproxy that was started with a config has its proxy. Raises StackError."""
        deadline = time.monotonic() + timeout
        self.wait_ready(timeout)
        while not self.exists():
            if time.monotonic() >= deadline:
                raise StackError(f"Toxiproxy came back without its proxy {self._name}")
            time.sleep(0.05)

    def version(self) -> str:
        """Toxiproxy's own version."""
        response = self._call(lambda: toxiproxy.api.APIConsumer.get("/version"))
        try:
            return str(response.json()["version"])
        except (ValueError, KeyError, TypeError):
            raise StackError(f"{self._base} does not answer as a Toxiproxy does") from None

    # ------------------------------------------------------------ inside

    def _proxy(self) -> Any:
        proxy = self._client.get_proxy(self._name)
        if proxy is None:
            raise StackError(f"Toxiproxy has no proxy called {self._name}", hint=_HINT)
        return proxy

    def _toxics(self, proxy: Any) -> list[Toxic]:
        return [
            Toxic(t.name, t.type, t.stream, float(t.toxicity), dict(t.attributes))
            for t in proxy.toxics().values()
        ]

    def _recreate(self, proxy: Any, keep: list[Toxic]) -> None:
        """The proxy anew, as it was, with these toxics, which may be strangers'."""
        self._call(proxy.destroy)
        create = partial(
            self._client.create,
            upstream=proxy.upstream,
            name=self._name,
            listen=proxy.listen,
            enabled=proxy.enabled,
        )
        try:
            self._call(create)
        except StackError:  # without it clients reach nothing: once more
            self._call(create)
        for toxic in keep:  # unchecked: the server had it before
            self._put(toxic)

    def _call(
        self, work: Callable[[], T], timeout: float | None = None, *, settle: bool = False
    ) -> T:
        """Run in a thread of its own with a deadline: socket timeouts do not bound a server that
        drips. With ``settle``, a call that is given up changes nothing after this returned. Raises
        StackError, its cause what toxiproxy-python raised (404: NotFound, 409: ProxyExists, 400:
        InvalidToxic)."""
        result: list[T] = []
        problem: list[Exception] = []
        given_up = threading.Event()

        def target() -> None:
            _http.address(self._base, given_up)
            try:
                result.append(work())
            except Exception as error:
                problem.append(error)

        thread = threading.Thread(target=target, daemon=True, name="toxiproxy")
        thread.start()
        limit = self._timeout if timeout is None else timeout
        thread.join(limit)
        if thread.is_alive():
            given_up.set()
            if settle:  # the request that is under way, if any, comes to its end
                thread.join(_SOCKET_TIMEOUT + 0.5)
            raise _NoAnswer(
                f"Toxiproxy at {self._base} gave no answer within {format_duration(limit)}",
                hint=_HINT,
            )
        if problem:
            raise self._translated(problem[0])
        return result[0]

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, StackError):
            return error
        if isinstance(error, requests.ConnectionError):
            wrapped = StackError(f"Toxiproxy at {self._base} cannot be reached", hint=_HINT)
        elif isinstance(error, requests.Timeout):
            wrapped = _NoAnswer(f"Toxiproxy at {self._base} gave no answer", hint=_HINT)
        elif isinstance(error, (ProxyExists, InvalidToxic)):
            wrapped = StackError(f"Toxiproxy refused: {_words(error)}")
        else:
            wrapped = StackError(
                f"{self._base} does not answer as a Toxiproxy does ({type(error).__name__})",
                hint="does another program have its port?",
            )
        wrapped.__cause__ = error
        return wrapped
