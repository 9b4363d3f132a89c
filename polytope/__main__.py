"""The command line: ``python -m polytope``."""

from __future__ import annotations

from polytope.cli.app import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
