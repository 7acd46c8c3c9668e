"""Run by torchrun in test_training_distributed.py, and by that test itself: train, write weights and history."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

import torch

import seamount as sm
from seamount_models import datasets, networks, training
from seamount_models.encoders import AsIs
from seamount_models.splits import Dataset, Split


def main(folder: str, *cases: str) -> None:
    """Train the cases, and let every process write `CASE-RANK.pt` to the folder."""
    for case in cases:
        net, data, options = CASES[case](folder)
        history = training.fit(net, data, threads=1, progress=False, **options)
        content = {"history": dataclasses.asdict(history), "weights": net.state_dict()}
        torch.save(content, f"{folder}/{case}-{os.environ.get('RANK', 'alone')}.pt")


def digits(samples: int) -> Dataset:
    data = datasets.load("digits", steps=4)
    return dataclasses.replace(data, train=data.train.subset(range(samples)))


def network(*sizes: int, readout: sm.nn.Neuron | None = None) -> Any:
    # in double precision, so that the order of a sum cannot decide whether a neuron fires
    return networks.mlp(sizes, sm.nn.LIF(0.9), readout=readout, seed=0).double()


def everything(folder: str) -> tuple[Any, Dataset, dict[str, Any]]:
    """Bounds, clipping, validation, a checkpoint; the last batch of an epoch has 1 sample, for two processes."""
    activity = {"lower": 0.1, "upper": 0.15, "strength": 5.0}
    options = {"epochs": 3, "batch_size": 20, "activity": activity, "clip": 0.05, "validation": 0.2}
    return network(64, 16, 10), digits(127), {**options, "checkpoint": f"{folder}/run.pt"}


def steps(folder: str) -> tuple[Any, Dataset, dict[str, Any]]:
    """Labels of each step, of which some samples have many and some none; truncated backpropagation."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(13, 8, 5, generator=generator) < 0.5).to(torch.uint8)
    y = torch.randint(0, 3, (13, 8), generator=generator)
    y[::2, 3:] = -1
    y[1] = -1
    split = Split(name="steps.train", x=x, y=y, classes=3, steps=8, coding=AsIs())
    options = {"epochs": 3, "batch_size": 4, "chunk": 3, "loss": "membrane_cross_entropy", "lr": 0.02}
    return network(5, 9, 3, readout=sm.nn.LI(0.8)), Dataset(name="steps", train=split, test=split), options


def nan(folder: str) -> tuple[Any, Dataset, dict[str, Any]]:
    """A loss that is not finite in the second process only."""

    def loss(output, labels):
        return output.mean() * (float("nan") if os.environ.get("RANK") == "1" else 1.0)

    return network(64, 16, 10), digits(64), {"epochs": 1, "loss": loss}


CASES = {"everything": everything, "again": everything, "steps": steps, "nan": nan}
"""`again` finds the checkpoint of `everything`, a run that is finished."""

if __name__ == "__main__":
    main(*sys.argv[1:])
