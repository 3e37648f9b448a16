"""Labelled images on disk and a model that takes clicks without having learnt anything."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.evaluation import EllipsoidSegmenter, inscribed_ellipsoid
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, SegmenterInfo

SHAPE = (18, 32, 36)


class BallSegmenter(EllipsoidSegmenter):
    """Adds or removes a ball at every click, whatever the image shows."""

    radius = 3

    @property
    def info(self):
        return SegmenterInfo("ball", "Balls at clicks", "Apache-2.0", "", frozenset({Box.kind, Point.kind}))

    def predict(self, prepared, prompts, previous, task):
        shape = prepared.volume.shape
        newest = prompts[-1]
        if isinstance(newest, Box):
            return Prediction(inscribed_ellipsoid(newest.clipped(shape)))
        if not isinstance(newest, Point):
            raise PromptError("Balls answer boxes and clicks.")
        grid = np.indices(shape) - np.reshape(newest.voxel, (3, 1, 1, 1))
        ball = np.square(grid).sum(axis=0) <= self.radius**2
        mask = previous.full(shape)
        return Prediction(Region.of(mask | ball if newest.positive else mask & ~ball))


@pytest.fixture
def ball_model() -> type[BallSegmenter]:
    """A model that takes boxes and clicks, to use or to derive failing ones from."""
    return BallSegmenter


@pytest.fixture
def truth() -> np.ndarray:
    """Labels 1 (a bent bar), 2 (a ball) and 3 (a cube of one voxel)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:9, 5:25, 5:10] = labels[4:9, 20:25, 5:28] = 1
    grid = np.indices(SHAPE) - np.reshape((12, 9, 24), (3, 1, 1, 1))
    labels[np.square(grid).sum(axis=0) <= 25] = 2
    labels[1, 1, 1] = 3
    return labels


@pytest.fixture
def cases_file(tmp_path: Path, truth: np.ndarray) -> Path:
    """Two datasets: one NIfTI case with three structures, one .npz case with one."""
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    image = (100 * truth.astype(np.int16) + 7).T
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "one.nii.gz")
    nib.save(nib.Nifti1Image(truth.T, affine), tmp_path / "one_label.nii.gz")
    np.savez(
        tmp_path / "two.npz", imgs=truth * 40, gts=(truth == 2).astype(np.uint8), spacing=np.array([0.8, 0.8, 3.0])
    )
    entries = [
        {
            "id": "one",
            "dataset": "first",
            "modality": "MR",
            "image": "one.nii.gz",
            "label": "one_label.nii.gz",
            "values": [[1], [2], [1, 3]],
        },
        {"id": "two", "dataset": "second", "modality": "CT", "image": "two.npz", "label": "two.npz", "values": [[1]]},
    ]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(entries))
    return path
