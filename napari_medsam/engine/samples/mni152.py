"""The MNI152 T1 template with its tissue maps, as the nilearn package carries them: real anatomy, no download."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medsam.engine import masks
from napari_medsam.engine.io.affines import from_ras
from napari_medsam.engine.samples.sample import Sample
from napari_medsam.engine.volume import Volume

_DEPTH_MM = 10
"""Fluid nearer to the surface of the brain than this is not ventricle; the template has voxels of 1 mm."""

_NAMES = {1: "left lateral ventricle", 2: "right lateral ventricle", 3: "grey matter", 4: "white matter"}


def mni152() -> Sample:
    """T1 average of 152 brains, skull-stripped, 1 mm, with the truth its tissue maps define.

    The lateral ventricles, which a clinician outlines to follow their size, are the fluid in the depth of the brain
    (where the two tissues together do not reach one half) in the piece that lies above the third ventricle.

    Returns
    -------
    Sample
        uint8 volume of 189 x 233 x 197 voxels ``(z, y, x)``.

    References
    ----------
    Fonov et al., Unbiased average age-appropriate atlases for pediatric studies, NeuroImage 54 (2011) 313-327:
    the ICBM 152 nonlinear 2009a template, free to use and distribute with its copyright notice.
    """
    # Imported here because nilearn takes seconds to import.
    from nilearn import datasets

    template = datasets.load_mni152_template(resolution=1)
    t1, grey, white = (
        np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).T)
        for image in (
            template,
            datasets.load_mni152_gm_template(resolution=1),
            datasets.load_mni152_wm_template(resolution=1),
        )
    )
    volume = Volume(np.rint(t1 * 255).astype(np.uint8), from_ras(template.affine), modality="MR")
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[(grey >= 0.5) & (grey >= white)] = 3
    labels[(white >= 0.5) & (white > grey)] = 4
    ventricles = _ventricles(volume.data > 0, grey + white < 0.5)
    # The template is symmetric about the sagittal plane x = 0; left is positive in LPS.
    side = volume.to_world([(0, 0, x) for x in range(volume.shape[2])])[:, 0]
    labels[ventricles & (side > 0)] = 1
    labels[ventricles & (side < 0)] = 2
    return Sample(volume, labels, _NAMES)


def _ventricles(brain: npt.NDArray[np.bool_], fluid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    deep = ndimage.binary_erosion(masks.fill_holes(brain), iterations=_DEPTH_MM)
    pieces, _ = masks.label(fluid & deep, connectivity=6)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    # The largest piece is the third ventricle with the cisterns below it, the second the lateral ventricles.
    return np.asarray(pieces == np.argsort(sizes)[-2])
