"""Interactive segmentation of medical images in napari, for research use."""
