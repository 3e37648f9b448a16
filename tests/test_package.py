"""The package as a user meets it after the install."""

import subprocess
import sys
from importlib.metadata import metadata


def test_qt_is_no_hard_dependency() -> None:
    required = metadata("napari-medsam").get_all("Requires-Dist") or []
    always = [line.lower() for line in required if "extra ==" not in line]
    assert always
    assert not [line for line in always if line.startswith(("napari", "pyqt", "pyside", "qtpy"))]


def test_engine_needs_no_window() -> None:
    code = (
        "import sys, napari_medsam.engine.segmenters.compact, napari_medsam.engine.region;"
        "bad = {'napari', 'qtpy', 'magicgui', 'PyQt6'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
