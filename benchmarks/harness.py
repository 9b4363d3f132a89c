"""What all benchmarks share: options, turns, figures beside their bars, tables, and where results go."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import operator
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

Medians = dict[str, dict[str, float]]
Figures = dict[str, Any]
Bar = tuple[str, Any]

COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
MISSED = "**no**"

EARLIER = "earlier "  # in front of a program: run by the other version
peer: list[str] = []  # its interpreter and checkout


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark: where results go, and a note on the machine's load."""
    out = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--write", type=Path, metavar="FOLDER", help="for the table and the JSON file")
    out.add_argument("--note", default="", help="a sentence about the machine's load")
    return out


def title(doc: str | None) -> str:
    """A benchmark's question as a heading."""
    return "# " + str(doc).splitlines()[0].strip()


def environment(*packages: str) -> dict[str, str]:
    """What ran, and where."""
    machine = " ".join(filter(None, (platform.machine(), vectors())))
    out = {"python": platform.python_version(), "machine": machine, "cores": str(os.cpu_count())}
    for package in ("polytope-nn", "numpy", *packages):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    return out


def vectors() -> str:
    """The widest vectors of the processor, where the system tells: compiled loops choose by them."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ""
    names = {"avx512vl": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
    return next((f"({name})" for flag, name in names.items() if flag in flags), "")


def in_words(where: Mapping[str, str], note: str = "") -> str:
    """The environment in a sentence, and the note."""
    return f"{', '.join(f'{name} {value}' for name, value in where.items())}. {note}".strip()


def shown(value: Any) -> str:
    """A cell of a table: of numbers four digits, and more where less than 1 would read as 1."""
    if isinstance(value, float):
        digits = 4
        while value < 1 and float(f"{value:.{digits}g}") == 1:
            digits += 1
        return f"{value:.{digits}g}"
    return "" if value is None else str(value).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [list(header), ["---"] * len(header), *([shown(v) for v in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same of rows that name their columns."""
    return table(list(rows[0]), [list(row.values()) for row in rows])


def publish(script: str, page: Iterable[str], record: Any, folder: Path | None) -> None:
    """Print a page, and where a folder is given write it there beside its record in JSON."""
    text = "\n\n".join(page) + "\n"
    sys.stdout.write(text)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / Path(script).stem
        stem.with_suffix(".md").write_text(text)
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")


def beside_bars(measure: Callable[[], Figures], bars: Mapping[str, Bar]) -> dict[str, Any]:
    """One experiment: its figures beside their bars, and what it took; a figure that is missing is missed."""
    clock, processor = time.perf_counter(), time.process_time()
    figures = dict.fromkeys(bars, "missing") | measure()
    rows = []
    for figure, value in figures.items():
        word, bar = bars.get(figure, ("", None))
        met = "" if not word else "yes" if value != "missing" and COMPARE[word](value, bar) else MISSED
        rows.append({"figure": figure, "value": value, "bar": f"{word} {shown(bar)}".strip(), "met": met})
    used = {"cpu": time.process_time() - processor, "wall": time.perf_counter() - clock}
    return {"rows": rows, "seconds": used}


def example(name: str, picture: Path | None) -> Figures:
    """The figures of a script in examples, which are on the path, and its picture."""
    script = importlib.import_module(name)
    result = script.measure()
    if picture is not None:
        script.plot(result, picture)
    return dict(result["figures"])


def experiments_page(doc: str | None, record: Mapping[str, Any], pictures: Mapping[str, str]) -> list[str]:
    """The tables of all experiments that were run, with their pictures."""
    parts = [title(doc), record["machine"]]
    for name, found in record["experiments"].items():
        said = f"{found['seconds']['cpu']:.0f} CPU s, {found['seconds']['wall']:.0f} wall s."
        rows = [[row["figure"], row["value"], row["bar"], row["met"]] for row in found["rows"]]
        parts += [f"## {name}", said, table(["figure", "value", "bar", "met"], rows)]
        parts += [f"![{name}]({pictures[name]})"] if name in pictures else []
    return parts


def experiments(
    script: str,
    doc: str | None,
    given: argparse.Namespace,
    run: Callable[[str], dict[str, Any]],
    names: Sequence[str],
    pictures: Mapping[str, str],
) -> None:
    """Run what is asked for beside what a record has of the others; exit code 1: a bar was missed."""
    record: dict[str, Any] = {"experiments": {}}
    kept = None if given.write is None else given.write / f"{Path(script).stem}.json"
    if kept is not None and kept.exists():
        record = json.loads(kept.read_text())
    for name in given.names or names:
        record["experiments"][name] = run(name)
        sys.stderr.write(f"{name} done\n")
    record["machine"] = in_words(environment("torch", "scipy"), given.note)
    publish(script, experiments_page(doc, record, pictures), record, given.write)
    rows = [row for found in record["experiments"].values() for row in found["rows"]]
    sys.exit(int(any(row["met"] == MISSED for row in rows)))


def again(script: str, *arguments: object) -> Any:
    """What the script's last line says, as JSON, when it is run once more in a process of its own."""
    command = [sys.executable, script, *map(str, arguments)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def take_turns(options: argparse.ArgumentParser, network: str) -> None:
    """The options of benchmarks whose programs take turns in fresh processes, an earlier version's too."""
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--peer", nargs=2, default=[], metavar=("PYTHON", "CHECKOUT"))
    options.add_argument("--run", help=argparse.SUPPRESS)
    options.add_argument("--network", default=network, help=argparse.SUPPRESS)


def fresh(
    script: str, program: str, name: str, given: bytes = b"", timeout: float = 900.0
) -> dict[str, float]:
    """One run in a process of its own; one that is stopped has found nothing."""
    python, around = sys.executable, dict(os.environ)
    if program.startswith(EARLIER):
        python, around["PYTHONPATH"] = peer
        program = program.removeprefix(EARLIER)
    command = [python, script, "--run", program, "--network", name]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=timeout, env=around)
    except subprocess.TimeoutExpired:
        return {"regions": 0, "seconds": timeout, "cpu": timeout, "megabytes": 0, "process": timeout}
    if done.returncode:
        raise RuntimeError(f"{program} on {name}: {done.stderr[-800:].decode()}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result | {"process": time.perf_counter() - started}


def alternate(
    script: str, pairs: Sequence[tuple[str, str]], repeats: int, given: Mapping[str, bytes]
) -> Medians:
    """Medians over runs of programs on networks that take turns; ``given`` are the networks' weights."""
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeats):
        for program, name in pairs:
            run = fresh(script, program, name, given.get(name, b""))
            seen.setdefault(f"{program} | {name}", []).append(run)
    return {key: {field: median(r[field] for r in runs) for field in runs[0]} for key, runs in seen.items()}


def warm_up(
    script: str, names: Sequence[str], programs: Sequence[str], given: Mapping[str, bytes]
) -> list[tuple[str, str]]:
    """The earlier version's runs, after one that fills its cache of compiled code; none without one."""
    if not peer:
        return []
    for program in programs:
        fresh(script, EARLIER + program, names[0], given[names[0]])
    return [(EARLIER + program, name) for name in names for program in programs]


def peer_table(medians: Medians, names: Iterable[str], programs: Sequence[str]) -> str:
    """The earlier version's CPU time against ours on the same rows, one worker."""
    rows, logs = [], []
    for name in names:
        for program in programs:
            before, now = medians[f"{EARLIER}{program} | {name}"], medians[f"{program} | {name}"]
            assert before["regions"] == now["regions"], f"{program} of {name}"
            logs.append(math.log(before["cpu"] / now["cpu"]))
            times = [f"{before['cpu']:.4f}", f"{now['cpu']:.4f}", f"{math.exp(logs[-1]):.2f}"]
            rows.append([name, program, *times, f"{before['megabytes']:.0f}", f"{now['megabytes']:.0f}"])
    head = ["network", "what", "earlier CPU s", "CPU s", "times as fast", "earlier MB", "MB"]
    mean = math.exp(sum(logs) / len(logs))
    return table(head, rows) + f"\n\nOn the geometric mean {mean:.2f} times as fast as the earlier version."
