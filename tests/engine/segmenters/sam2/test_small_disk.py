"""A real disk that is full, and one that is read-only: they cost the cache and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Run where the folder given is a disk of its own.
TRIAL = """
import sys
from pathlib import Path
from test_features import SLICES, Encoder, disk, same
from napari_medsam.engine.segmenters.sam2.features import FeatureStore

encoder = Encoder()
store = FeatureStore(encoder, SLICES, disk(Path(sys.argv[1])))
answers = [store(index) for index in range(SLICES)]
assert all(same(answer, Encoder()(index)) for index, answer in enumerate(answers))
assert all(same(store(index), answers[index]) for index in range(SLICES))
print(len(encoder.asked), store.problem)
"""


def on_a_disk(folder: Path, prepare: str) -> list[str]:
    """Words that the trial prints on a disk of 64 kB, after a command that has the disk as ``$1``."""
    if sys.platform != "linux" or shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("only root on Linux can make a disk for a test")
    folder.mkdir()
    script = f'mount -t tmpfs -o size=64k none "$1" || exit 77; {prepare}; exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(folder), sys.executable, TRIAL],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no disk could be made: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert not any(folder.iterdir()), "it was to be written to a disk of its own"
    return done.stdout.split(maxsplit=1)


def test_a_full_disk(tmp_path: Path) -> None:
    asked, problem = on_a_disk(tmp_path / "disk", 'head -c 60000 /dev/zero > "$1/other"')
    assert asked == "7", "each slice was to be computed once"
    assert "kept in memory only" in problem
    assert "the disk is full" in problem


def test_a_read_only_disk(tmp_path: Path) -> None:
    asked, problem = on_a_disk(tmp_path / "disk", 'mount -o remount,ro "$1"')
    assert asked == "7"
    assert "kept in memory only" in problem
    assert "read-only" in problem
