"""The command line: registers the commands and turns every ending into an exit code."""

from __future__ import annotations

import signal
import sys

import typer
from typer.exceptions import Exit, TyperException
from typer.main import get_command

from vqchaos.cli import after, comparing, experiments, gameday, reference, stack, stopping
from vqchaos.cli.common import say, show_bug, show_error
from vqchaos.cli.overview import GROUPS
from vqchaos.cli.terminal import outlive_the_terminal
from vqchaos.errors import ExitCode, VqchaosError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Chaos and fault injection for LLM serving.",
)
for module in (stack, experiments, gameday, stopping, after, comparing, reference):
    module.register(app)


def known_commands() -> list[str]:
    return [name for _, group in GROUPS for name, _ in group]


def run(words: list[str]) -> int:
    """Run one command; returns the exit code. Never raises, never shows a traceback."""
    outlive_the_terminal()
    try:
        code = get_command(app).main(args=words, prog_name="vqchaos", standalone_mode=False)
    except VqchaosError as error:
        return show_error(error)
    except TyperException as error:
        say(f"vqchaos: {error.format_message()}")
        say(f"  → see `vqchaos {_command(words)}--help`")
        return ExitCode.USAGE
    except Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        say("vqchaos: interrupted")
        return ExitCode.SIGINT
    except BrokenPipeError:
        # The reader went away (`| head`): not an error of anybody's.
        sys.stdout = None
        return 128 + signal.SIGPIPE
    except Exception as error:
        return show_bug(error)
    return int(code or 0)


def _command(words: list[str]) -> str:
    return words[0] + " " if words and words[0] in known_commands() else ""
