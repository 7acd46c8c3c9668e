"""Two processes train the network that one process trains, on the loopback interface."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seamount as sm
from seamount_models import losses, networks
from seamount_models.training.distributed import ALONE, Processes
from seamount_models.training.step import Step

SCRIPT = Path(__file__).parent / "distributed/train_together.py"


class Part(Processes):
    """One of several processes that never meet: its share of the gradient, before the sum."""

    def sum_gradients(self, parameters, *also):
        return list(also)


@pytest.mark.parametrize("labels", ["sample", "step"])
@pytest.mark.parametrize(("batch", "world"), [(5, 2), (6, 3), (2, 3)], ids=["uneven", "even", "one without"])
def test_the_shares_of_a_gradient_sum_up_to_it(labels, batch, world):
    net = networks.mlp((5, 6, 3), sm.nn.LIF(0.9, vth=0.3), readout=sm.nn.LI(0.8), seed=0).double()
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(7, batch, 5, generator=generator) < 0.5).double()
    y = torch.randint(0, 3, (batch,), generator=generator)
    if labels == "step":
        y = torch.randint(-1, 3, (7, batch), generator=generator)
        y[2:, 0] = -1

    def run(processes: Processes) -> tuple[torch.Tensor, torch.Tensor, int]:
        step = Step(net, losses.membrane_cross_entropy, [], 3, None, "float32", processes)
        value, right, _ = step.gradients(x[:, processes.share], y)
        found = [p.grad if p.grad is not None else torch.zeros_like(p) for p in net.parameters()]
        return torch.cat([g.flatten() for g in found]), value, right

    whole, value, right = run(ALONE)
    parts = [run(Part(rank, world)) for rank in range(world)]
    assert whole.any()
    assert torch.allclose(sum(part[0] for part in parts), whole, rtol=1e-12, atol=1e-15)  # type: ignore[arg-type]
    assert float(sum(part[1] for part in parts)) == pytest.approx(value.item(), rel=1e-12)
    assert sum(part[2] for part in parts) == right


def together(folder: Path, *cases: str) -> subprocess.CompletedProcess:
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder), *cases],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_are_equal_to_one(tmp_path):
    spec = importlib.util.spec_from_file_location("train_together", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(str(tmp_path), "everything", "steps")
    two = together(tmp_path / "two", "everything", "again", "steps")
    assert two.returncode == 0, two.stderr

    def result(path: str) -> dict:
        return torch.load(tmp_path / path, weights_only=True)

    for case in ("everything", "steps"):
        alone, first, second = (result(path.format(case)) for path in ("{}-alone.pt", "two/{}-0.pt", "two/{}-1.pt"))
        for key, weight in alone["weights"].items():
            assert torch.equal(first["weights"][key], second["weights"][key]), f"{key} differs between the processes"
            assert torch.allclose(first["weights"][key], weight, rtol=1e-9, atol=1e-12), f"{case}: {key}"
        assert first["history"] == second["history"]
        for measure in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert first["history"][measure] == pytest.approx(alone["history"][measure], rel=1e-6), measure
    for rank in "01":
        again, first = result(f"two/again-{rank}.pt"), result(f"two/everything-{rank}.pt")
        assert again["history"] == first["history"]
        assert all(torch.equal(again["weights"][key], weight) for key, weight in first["weights"].items())


@pytest.mark.slow
def test_what_goes_wrong_in_one_process_ends_all(tmp_path):
    done = together(tmp_path / "nan", "nan")
    assert done.returncode != 0
    assert "TrainingError: digits: the loss is nan in epoch 1, step 1" in done.stderr
