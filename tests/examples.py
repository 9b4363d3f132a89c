"""The scripts in examples/, and how tests run them."""

import io
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name: str, *arguments: str) -> str:
    """What a script prints, run in this process: what it imports is loaded already."""
    path, threads = str(EXAMPLES / name), torch.get_num_threads()
    words = patch.object(sys, "argv", [path, *arguments])
    try:
        with words, torch.random.fork_rng(), redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(path, run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    return printed.getvalue()
