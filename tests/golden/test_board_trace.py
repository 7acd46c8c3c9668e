"""One LIF on a real Loihi 2 board, 1000 steps, against our arithmetic.

The trace is from the NIR paper's repository (BSD-3): input, v, spike per step. It is reproduced by decay 163, weight
10, threshold 25, du 4095 and one step of synaptic delay; on the four spike rows the board reports v = 128, where the
arithmetic leaves 0 after the reset (as Lava's own CPU model does), so v is compared on the other 996 rows.
"""

from __future__ import annotations

import numpy as np
import pytest

import seamount as sm
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF


@pytest.fixture(scope="module")
def board(data_folder):
    file = data_folder / "nir" / "lif_lava_loihi_fixed.csv"
    if not file.exists():
        pytest.skip(f"no {file.name} in SEAMOUNT_DATA")
    return np.loadtxt(file, delimiter=",").astype(np.int64)


@pytest.mark.parametrize("target", ["reference", "loihi2"])
def test_the_board_is_reproduced(board, target):
    graph = Graph([
        Input(name="input", shape=(1,)),
        IntLinear(name="fc", inputs=["input"], weight=[[10]], delay=1),
        IntCubaLIF(name="lif", inputs=["fc"], shape=(1,), du=4095, dv=163, vth=25, reset="zero"),
        Output(name="output", inputs=["lif"]),
    ])  # fmt: skip
    spikes, v, fired = board.T
    result = sm.compile(graph, target).run(spikes.reshape(-1, 1, 1), record=["v"])
    assert len(board) == 1000
    np.testing.assert_array_equal(result.output.ravel(), fired)
    quiet = fired == 0
    assert (~quiet).sum() == 4
    np.testing.assert_array_equal(result.v["lif"].ravel()[quiet], v[quiet])
