"""Nothing of ours, and nothing that we use, opens a connection: models, audits and directories stay here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        raise SystemExit(f"{event} {arguments}")

if __name__ == "__main__":
    sys.addaudithook(refuse)
    import adapters
    import polytope as pt
    from polytope.__main__ import app
    from tests.networks import seeded

    folder = Path(sys.argv[1])
    adapters.to_onnx(seeded(0, 2, 8, 6, 1), folder / "model.onnx")
    network = adapters.load(folder / "model.onnx")
    box, engine = pt.Polyhedron.box([-1] * 2, [1] * 2), pt.LayerSplit(workers=2)
    pt.enumerate_regions(network, box, engine, directory=folder / "run", certificate=True)
    print(pt.verify_certificate(folder / "run"))
    out = ["--out", str(folder / "report.html")]
    app(["audit", str(folder / "model.onnx"), "--box", "-1", "1", *out], standalone_mode=False)
    print("all done")
"""
NET = re.compile(r"AF_INET|AF_NETLINK|AF_PACKET|AF_VSOCK")
LOG = "calls"
TRACED = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=network", "-o", LOG]
ALONE = ["unshare", "-n"]


def works(command: list[str], folder: Path) -> bool:
    """Whether programs can be run in this way here."""
    return (
        bool(shutil.which(command[0]))
        and not subprocess.run([*command, "true"], cwd=folder, capture_output=True).returncode
    )


def test_nothing_connects(tmp_path: Path) -> None:
    """Also what is not Python, which no hook sees: by its system calls, or else where there is no network."""
    way = next((way for way in (TRACED, ALONE) if works(way, tmp_path)), None)
    if way is None:
        pytest.skip("neither strace nor unshare can be used here")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [*way, sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all done"]), done.stderr[-2000:]
    if way is TRACED:
        calls = (tmp_path / LOG).read_text().splitlines()
        assert [line for line in calls if NET.search(line)] == []


def test_onnxruntime_is_told_to_send_nothing() -> None:
    """Whatever loads it goes through the one file that switches its telemetry off."""
    users = [
        file.relative_to(ROOT).as_posix()
        for room in ("polytope", "adapters")
        for file in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", file.read_text(), re.MULTILINE)
    ]
    assert users == ["adapters/onnx/runtime.py"]
    text = (ROOT / users[0]).read_text()
    assert "\nonnxruntime.disable_telemetry_events()" in text
    before, _, _ = text.partition("\nimport onnxruntime")
    assert 'os.environ["ORT_DISABLE_TELEMETRY"] = "1"' in before


SPEAKERS = re.compile(
    r"^\s*(?:import|from) (?:socket|ssl|urllib|http|requests|ftplib|smtplib|asyncio)\b", re.MULTILINE
)


def test_nothing_of_ours_knows_sockets() -> None:
    """A cluster is spoken to by Dask."""
    for room in ("polytope", "adapters"):
        for file in (ROOT / room).rglob("*.py"):
            assert not SPEAKERS.search(file.read_text()), file
