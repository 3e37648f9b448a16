"""Weights of models: known ones, those in this user's folder, and reading, verifying and downloading them."""
