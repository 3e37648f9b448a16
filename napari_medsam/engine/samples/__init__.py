"""Images that are there without a network: a real brain, and a generated body whose truth is known exactly."""

from napari_medsam.engine.samples.ct_phantom import ct_phantom
from napari_medsam.engine.samples.mni152 import mni152
from napari_medsam.engine.samples.sample import Sample

__all__ = ["Sample", "ct_phantom", "mni152"]
