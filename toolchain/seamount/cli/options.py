"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GraphFile = Annotated[Path, typer.Argument(metavar="FILE", help="A graph, such as net.onnx.", show_default=False)]
TargetName = Annotated[str, typer.Option("--target", "-t", help="A name from `seamount targets`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

SpikeFile = Annotated[
    Path | None,
    typer.Option("--spikes", help="Input [T, B, ...]: .npy, or .npz with an array `spikes`.", show_default=False),
]
DataName = Annotated[
    str | None, typer.Option("--data", help="Test samples of a data set, such as digits.", show_default=False)
]
Random = Annotated[bool, typer.Option("--random", help="Random input.")]
Steps = Annotated[int, typer.Option(min=1, help="With --data and --random: steps.")]
Samples = Annotated[int, typer.Option(min=1, help="With --data and --random: samples.")]
Seed = Annotated[int, typer.Option(min=0, help="With --data and --random: seed of the coding.")]
