"""Sessions killed for real; the checks are in the script, which anyone can run for longer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_test.py"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has neither fork nor SIGKILL")


def kill(kills: int, folder: Path) -> dict[str, int]:
    figures = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", str(kills), "--json", str(figures)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["metric"]: row["ours"] for row in json.loads(figures.read_text())}


def test_five_kills_lose_nothing_acknowledged(tmp_path):
    figures = kill(5, tmp_path)
    assert figures["kills"] == 5
    assert figures["steps acknowledged"] > 0
    assert figures["losses and damages"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing_acknowledged(tmp_path):
    figures = kill(200, tmp_path)
    assert all(figures[f"killed in phase '{phase}'"] > 10 for phase in ("predict", "journal", "save"))
    assert figures["losses and damages"] == 0
