"""What ``napari-medsam info`` says about the kernels that clean masks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from napari_medsam.cli import main
from napari_medsam.engine.masks import compiled


def test_info_tells_the_active_kernels(capsys):
    main(["info"])
    lines = capsys.readouterr().out.splitlines()
    on_cpu = next(line for line in lines if line.startswith("masks on CPU"))
    on_gpu = next(line for line in lines if line.startswith("masks on GPU"))
    if compiled.core() is None:
        assert compiled.why_no_core() in on_cpu
    else:
        assert "C++ kernels for" in on_cpu
    assert compiled.why_no_cuda() in on_gpu


@pytest.mark.parametrize("switch", ["", "1"])
def test_info_tells_why_the_others_are_not(switch, tmp_path):
    command = [sys.executable, "-c", "from napari_medsam.cli.info import _kernels_on_cpu as say; print(say())"]
    env = {**os.environ, compiled.PURE_SWITCH: switch}
    # Elsewhere: started in the repository, Python would import its sources, which have no compiled kernels.
    said = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert ("scipy, which is slow" in said) == (switch == "1" or compiled.core() is None)
