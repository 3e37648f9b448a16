"""What every benchmark shares: ``--quick``, ``--json FILE``, and rows set beside a peer or a floor."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run that shows that the script works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the rows as JSON")
    return parser


def hardware() -> str:
    """The machine in one line: numbers mean nothing without it."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {usable_cores()} cores used, {platform.platform()}"


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Rows:
    """Rows ``case, metric, unit, ours, peer, theirs, ratio``, printed as they come."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(
        self, case: str, metric: str, unit: str, ours: float, peer: str | None = None, theirs: float | None = None
    ) -> None:
        """Add a row; ``ratio`` is ours over theirs."""
        ratio = ours / theirs if theirs else None
        row = {
            "case": case,
            "metric": metric,
            "unit": unit,
            "ours": ours,
            "peer": peer,
            "theirs": theirs,
            "ratio": ratio,
        }
        self.rows.append(row)
        beside = f"   {peer}: {theirs:.4g} {unit} (x {ratio:.2f})" if ratio is not None else ""
        print(f"{case:24} {metric:28} {ours:10.4g} {unit}{beside}", flush=True)

    def save(self, path: Path | None) -> None:
        """Write the rows as a JSON list where a file was asked for."""
        if path is not None:
            path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
