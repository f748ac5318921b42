"""`python -m trioflow`, which is the same as the command `trioflow`.

The command line needs the extra `cli`. Whoever installed trioflow as a library only is told so in one line.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Do what `sys.argv` says. Returns the exit status, or raises `SystemExit` with it."""
    try:
        from . import cli
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "trioflow":
            raise
        print(f'trioflow: no module {exc.name!r} for the command line: pip install "trioflow[cli]"', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
