"""A pytest plugin: the core of another build, which POLYTOPE_CORE names, replaces the installed one."""

import importlib.util
import os
import sys

spec = importlib.util.spec_from_file_location("polytope._core", os.environ["POLYTOPE_CORE"])
assert spec, "POLYTOPE_CORE names no extension module"
assert spec.loader, "an extension module has a loader"
core = importlib.util.module_from_spec(spec)
sys.modules["polytope._core"] = core
spec.loader.exec_module(core)
