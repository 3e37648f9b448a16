"""The small model that ships with the package: offline, on a laptop CPU, from the first minute."""

from napari_medsam.engine.segmenters.compact.segmenter import CompactSegmenter

__all__ = ["CompactSegmenter"]
