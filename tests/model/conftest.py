"""The training scripts are no package: they are found as Python finds them when one of them is started."""

import os
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "model"
sys.path.insert(0, str(SCRIPTS))
# Processes started by tests look there too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(SCRIPTS), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
