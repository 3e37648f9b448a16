"""SAM 2 and its medical fine-tunes."""
