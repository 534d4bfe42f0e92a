"""The console script: it runs the command line, or says in one line what is missing for it."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run ``tutuclient`` with the arguments of the process, and end the process with its exit code."""
    _fill_standard_streams()
    if sys.argv[1:] == ["--version"]:  # Also where typer and rich are not installed.
        from tutuclient import __version__  # noqa: PLC0415  (only for this)

        print(f"tutuclient {__version__}")  # noqa: T201  (what was asked for)
        return
    try:
        from tutuclient.cli import run  # noqa: PLC0415  (the extra may be missing)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
            raise
        sys.exit(f'error: the command line needs typer and rich: pip install typer rich (the extra "cli"; {error})')
    sys.exit(run())


def _fill_standard_streams() -> None:
    """Open the null device for stdin, stdout and stderr where the process was started without them.

    The first sockets would get their descriptors, with which uvloop, for one, crashes. Processes are started so by
    the shell's ``<&-``, by cron and by services.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115  (a descriptor, for as long as the process runs)


if __name__ == "__main__":
    main()
