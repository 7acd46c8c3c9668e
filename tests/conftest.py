"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamount_models import files


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data, or a skip that says how to name it."""
    folder = files.data_folder()
    if not folder.is_dir():
        pytest.skip("no data: set SEAMOUNT_DATA to the folder that holds it")
    return folder
