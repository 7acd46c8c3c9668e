"""Machine code that is kept on disk is renewed when anything changes that was compiled in."""

from __future__ import annotations

import subprocess
import sys

import pytest

KERNEL = """
from seamount.jit import kernel
from helper import by_two

@kernel()
def run(x):
    return by_two(x)

print(run(4), "kept" if run.stats.cache_hits else "compiled")
"""
HELPER = """
from numba.extending import register_jitable
from constant import FACTOR

@register_jitable
def by_two(x):
    return x * FACTOR + {added}
"""


@pytest.mark.slow
def test_a_change_in_another_file_renews_the_code(tmp_path):
    def run(factor, added):
        (tmp_path / "constant.py").write_text(f"FACTOR = {factor}\n")
        (tmp_path / "helper.py").write_text(HELPER.format(added=added))
        (tmp_path / "run.py").write_text(KERNEL) if not (tmp_path / "run.py").exists() else None
        return subprocess.run(
            [sys.executable, "-B", "run.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
        ).stdout.split()

    assert run(2, 0) == ["8", "compiled"]
    assert run(2, 0) == ["8", "kept"]
    assert run(2, 1) == ["9", "compiled"]
    assert run(3, 1) == ["13", "compiled"]
