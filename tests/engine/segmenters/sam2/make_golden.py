"""Write down what the published predictor says, for machines without it. Run by hand when a session changes.

    python tests/engine/segmenters/sam2/make_golden.py

Needs PyPI's ``sam2`` (see ``reference.py``) and some minutes; the files are read by ``test_tracker_parity.py``.
"""

from __future__ import annotations

import numpy as np
import torch
from lively import lively_sam2, moving_slices
from parity import GOLDEN, SETTINGS, Theirs, corrected_after_propagation, sampled


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with torch.inference_mode():
        for name, setting in SETTINGS.items():
            np.savez_compressed(GOLDEN / f"{name}.npz", **{key: sampled(value) for key, value in setting.theirs()})
        loser = Theirs(lively_sam2(), moving_slices(3, 256), "tiny", keep_corrections=False)
        _, lost = corrected_after_propagation(loser)
    np.savez_compressed(GOLDEN / "lost-correction.npz", packed=np.packbits(lost.numpy()))


if __name__ == "__main__":
    main()
