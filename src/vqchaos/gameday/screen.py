"""The full-screen terminal of a game day: keys in, lines out. What a key does is the session's."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.message import Message
from textual.widgets import Input, Static

from vqchaos.clock import Clock
from vqchaos.experiment.gameday import GameDay
from vqchaos.gameday import drawing
from vqchaos.gameday.play import Table
from vqchaos.stack.protocols import Stack

_PULL = 0.1  # seconds between two looks at what the runs told
_DRAW = 3  # every so many of them the screen is drawn
_PLAN = 24  # columns
_SCROLLS = {"up", "down", "left", "right", "pageup", "pagedown", "home", "end"}


class _Driver(LinuxDriver):
    """Keys are read in a thread of their own. Ctrl-C asks for the undo there already: the screen's
    thread may wait for a terminal that takes no more output. (`a` may be a letter of a note.)"""

    def process_message(self, message: Message) -> None:
        if isinstance(message, Key) and message.key == "ctrl+c":
            cast("GameDayApp", self._app).revert()
        super().process_message(message)


class GameDayApp(App[None]):
    """Ends by itself when the session is over."""

    ENABLE_COMMAND_PALETTE = False
    CSS = f"""
    Screen {{ background: ansi_default; color: ansi_default; }}
    Static {{ background: ansi_default; color: ansi_default; }}
    #head, #keys {{ height: 1; }}
    #plan {{ width: {_PLAN}; padding-right: 1; }}
    #main {{ scrollbar-size-vertical: 1; background: ansi_default; }}
    #said {{ height: 2; }}
    #typed {{ height: 1; border: none; padding: 0; display: none; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "abort", priority=True),
        Binding("ctrl+q", "end", priority=True),
        Binding("enter", "go_on"),
        Binding("tab,shift+tab", "nothing", priority=True),  # or a note would lose its keys
        Binding("s,S", "skip"),  # with caps lock too
        Binding("a,A", "abort"),
        Binding("d,D", "seen"),
        Binding("n,N", "note"),
        Binding("o,O", "operator"),
        Binding("q,Q", "end"),
        Binding("question_mark", "page_help"),
    ]

    def __init__(self, table: Table, day: GameDay, stack: Stack, clock: Clock) -> None:
        super().__init__(driver_class=_Driver, ansi_color=True)
        self._table = table
        self._session = table.session
        self._day = day
        self._stack = stack
        self._clock = clock
        self._pulls = 0
        self._typing: Callable[[str], None] | None = None
        self._asking = ""  # a question that y or n answers, in that state of the session
        self._asked_in = ""
        self._helps = False
        self.bug: Exception | None = None
        # Kept, not looked up: while the screen closes, some are gone from it already.
        self._head = Static(id="head", markup=False)
        self._plan = Static(id="plan", markup=False)
        self._text = Static(id="text", markup=False)
        self._main = VerticalScroll(self._text, id="main")
        self._said = Static(id="said", markup=False)
        self._typed = Input(id="typed", max_length=500)
        self._keys = Static(id="keys", markup=False)
        self._stdin = select.poll()
        if os.isatty(0):
            self._stdin.register(0, 0)  # hang-ups and errors are always told
        self._known = _SCROLLS | set(self._bindings.key_to_bindings)
        self._shown = (-1, "")  # step and state; the main part begins at its top in each

    def revert(self) -> None:
        """From any thread."""
        self._session.revert()

    def _fatal_error(self) -> None:
        """Textual's own prints a traceback with every local variable on the terminal. Ours is told
        as every error of vqchaos is."""
        self._table.stop("an error of the screen")  # the undo waits for no screen that closes
        self.bug = self._exception
        self._close_messages_no_wait()

    def compose(self) -> ComposeResult:
        yield self._head
        yield Horizontal(self._plan, self._main)
        yield self._said
        yield self._typed
        yield self._keys

    def on_mount(self) -> None:
        self._main.focus()
        self.set_interval(_PULL, self._pull)
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    # ---------------------------------------------------------------- keys

    def action_abort(self) -> None:
        self._session.abort(self._clock.now())  # before all else
        self._asking = ""
        self._done()

    def action_nothing(self) -> None:
        pass

    def action_go_on(self) -> None:
        if self._helps and self._typing is None:
            self._helps = False
            self._done()
        else:
            self._do(self._session.go_on)

    def action_skip(self) -> None:
        self._do(self._session.skip)

    def action_seen(self) -> None:
        pressed = self._clock.now()
        if self._typing is None:  # a question does not make people blind
            self._table.pull()
            self._session.seen(pressed)
        self._done()

    def action_note(self) -> None:
        pressed = self._clock.now()
        self._type(
            "note: enter keeps it, escape drops it", lambda t: self._session.note(t, pressed)
        )

    def action_operator(self) -> None:
        self._type("who takes the switch?", self._session.hand_over)

    def action_page_help(self) -> None:
        if self._typing is None:
            self._helps = not self._helps
        self._done()

    def action_end(self) -> None:
        if self._typing is not None:  # Ctrl-Q: the others are letters then
            self._stop_typing()
        self._table.pull()
        self._asked_in = self._session.state
        if self._session.running:
            self._asking = "A step is running. Abort it, revert, and end the day? y or n"
        elif self._session.left:
            count = self._session.left
            self._asking = f"End the day with {count} of its steps not begun? y or n"
        else:
            self._session.end()
        self._done()

    def on_key(self, event: Key) -> None:
        if event.key == "escape" and self._typing is not None:
            self._stop_typing()
        elif self._asking and event.key in ("y", "Y", "n", "N", "escape"):
            self._answer(yes=event.key in ("y", "Y"))
        elif self._typing is None and event.key not in self._known:
            self._session.message = "Not a key here. Ctrl-C aborts, ? lists the keys."
        else:
            return
        event.prevent_default()  # an answered "n" is not a note too
        event.stop()
        self._done()

    def _answer(self, *, yes: bool) -> None:
        self._table.pull()
        self._drop_old_question()
        if yes and self._asking:
            self._session.end()
        self._asking = ""

    def _drop_old_question(self) -> None:
        if self._session.state != self._asked_in:
            self._asking = ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        typed = self._typing
        self._stop_typing()
        if typed is not None:
            self._table.pull()
            typed(event.value)
        self._done()

    def _do(self, action: Callable[[], None]) -> None:
        self._table.pull()
        self._drop_old_question()
        if not self._asking and self._typing is None:
            action()
        self._done()

    def _type(self, what: str, then: Callable[[str], None]) -> None:
        self._drop_old_question()
        if self._asking or self._session.over or self._typing is not None:
            return
        self._typing = then
        typed = self._typed
        typed.placeholder = what
        typed.value = ""
        typed.display = True
        typed.focus()
        self._done()

    def _stop_typing(self) -> None:
        self._typing = None
        self._typed.display = False
        self._main.focus()

    # ---------------------------------------------------------------- drawing

    def _pull(self) -> None:
        if self._terminal_gone():
            self._table.stop("the terminal went away")
        before = self._session.message, self._session.state
        self._table.pull()
        self._pulls += 1
        if self._pulls % _DRAW == 0 or before != (self._session.message, self._session.state):
            self._done()

    def _terminal_gone(self) -> bool:
        """A terminal that is not the controlling one goes without a signal."""
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in self._stdin.poll(0))

    def _done(self) -> None:
        if self._session.over:
            self.exit()
        else:
            self._drop_old_question()
            self._draw()

    def _draw(self) -> None:
        session, width = self._session, self.size.width
        main = self._main
        room, height = main.size.width - 1, main.size.height
        if room < 1 or height < 1 or not main.is_attached:  # not laid out yet, or not any more
            return
        head = drawing.header(session, self._day, self._stack.name, self._clock.now(), width)
        _put(self._head, [head])
        _put(self._plan, drawing.plan(session, _PLAN - 1, height))
        if self._helps:
            _put(self._text, drawing.wrapped(drawing.HELP, room))
        else:
            _put(self._text, drawing.body(session, room, height))
        asked = drawing.wrapped(self._asking, width, "bold reverse") if self._asking else None
        said = self._said.size.height
        _put(self._said, asked or drawing.message(session, width, max(1, said)))
        _put(self._keys, [drawing.footer(width)])
        now = (session.at, session.state)
        if now != self._shown:
            self._shown = now
            main.scroll_home(animate=False)


def _put(where: Static, lines: list[Text]) -> None:
    where.update(Text("\n").join(lines))


def show_with(clock: Clock) -> Callable[[Table, GameDay, Stack], None]:
    """The screen for ``play``."""

    def show(table: Table, day: GameDay, stack: Stack) -> None:
        app = GameDayApp(table, day, stack, clock)
        app.run(mouse=False)
        if app.bug is not None:
            raise app.bug

    return show
