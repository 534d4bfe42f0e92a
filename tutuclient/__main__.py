"""The console script: the command line, or one line that says what it needs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``tutuclient`` with the arguments of the process, and end the process with its exit code."""
    try:
        from tutuclient.cli import run  # noqa: PLC0415  (the extra may be missing, and that is to be said in one line)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
            raise
        sys.exit(f'error: the command line needs the packages of an extra: pip install "tutuclient[cli]" ({error})')
    sys.exit(run())


if __name__ == "__main__":
    main()
