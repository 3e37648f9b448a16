"""Fixtures every room shares."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real labelled volumes that lives beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real volumes are not here: no folder {SHARED_DATA}")
    return SHARED_DATA
