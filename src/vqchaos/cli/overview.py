"""What vqchaos can do, on one page. Imports nothing: it is the answer to ``--help``."""

from __future__ import annotations

GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Start here",
        (
            ("demo", "Bring the local stack up, run the tour, print what it found."),
            ("doctor", "What this host has and lacks, and how to get it."),
            ("init", "Write a commented first experiment and stack file."),
        ),
    ),
    (
        "The stack",
        (
            ("up", "Start the stack; returns when it served a token."),
            ("down", "Stop it and leave nothing behind."),
            ("status", "What runs, where it listens, which faults are in force."),
        ),
    ),
    (
        "Experiments",
        (
            ("run", "Run experiments: files or folders, in order."),
            ("gameday", "A guided session over a plan: people confirm each step, one key aborts."),
            ("plan", "Each step with its undo, resolved on the live stack; touches nothing."),
            ("validate", "Check files strictly; every error at once, with its place."),
            ("abort", "Stop the live run from any terminal: it reverts and ends."),
            ("mark", 'Put a note, or "the fault is now", into the live run\'s history.'),
            ("heal", "Revert what a dead run left in force."),
        ),
    ),
    (
        "Afterwards",
        (
            ("judge", "Judge a saved run again, offline, also with edited checks."),
            ("report", "Render a saved run's or set's reports again, offline."),
            ("compare", "Has NEW regressed against BASE? Two sets, offline; never guesses."),
            ("golden", "Write the canary's known answers for a model."),
        ),
    ),
    (
        "Reference",
        (
            ("faults", "The fault types, with their settings."),
            ("checks", "The checks, with their settings."),
            ("schema", "JSON Schema of the files, for editors."),
        ),
    ),
)
EXIT_CODES = (
    "0 pass · 1 fail · 2 usage or invalid file · 3 unknown (void run, unhealthy or locked stack)\n"
    "4 unclean (run `vqchaos heal`) · 130, 143, 129 interrupted, everything reverted"
)


def summary(command: str) -> str:
    """The command's one line."""
    return next(text for _, group in GROUPS for name, text in group if name == command)


def overview() -> str:
    """The text of ``vqchaos --help``."""
    lines = [
        "Usage: vqchaos COMMAND [OPTIONS]",
        "",
        "Chaos and fault injection for LLM serving: breaks a live vLLM stack on purpose, watches",
        "what clients get, and judges degradation and recovery.",
        "",
    ]
    for title, group in GROUPS:
        lines.append(f"{title}:")
        lines += [f"  {name:<10} {text}" for name, text in group]
        lines.append("")
    lines += [
        "Options: --version, --help; `vqchaos COMMAND --help` explains each command.",
        "",
        "Exit codes:",
        *("  " + line for line in EXIT_CODES.split("\n")),
    ]
    return "\n".join(lines)
