"""The console entry. ``--version`` and the top ``--help`` are answered before anything heavy is
imported: a release pipeline and a shell's completion ask for them all the time."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the process ends with an exit code of the design."""
    words = sys.argv[1:]
    if words in (["--version"], ["-V"]):
        from vqchaos import __version__

        print(f"vqchaos {__version__}")
        return
    if not words or words in (["--help"], ["-h"], ["help"]):
        from vqchaos.cli.overview import overview

        print(overview())
        return
    from vqchaos.cli.app import run

    sys.exit(run(words))


if __name__ == "__main__":
    main()
