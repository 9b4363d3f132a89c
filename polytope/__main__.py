"""The command line: ``python -m polytope``."""

from __future__ import annotations

import sys

INTERRUPTED = 130

try:
    from polytope.cli.app import app, main
except KeyboardInterrupt:  # loading takes seconds from a cold disk
    sys.stderr.write("Interrupted; nothing was written.\n")
    sys.exit(INTERRUPTED)

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
