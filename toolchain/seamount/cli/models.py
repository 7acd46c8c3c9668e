"""Commands whose work is done by seamount_models: `demo`, `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seamount as sm
from seamount.cli import options
from seamount.cli.console import print_json, say, table, working
from seamount.cli.spikes import models_module


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the HTML report goes.")] = Path("report.html"),
    seed: Annotated[int, typer.Option(min=0, help="Of the relearned weights and the order of learning.")] = 0,
) -> None:
    """Train on digits, quantize, compile, run, verify, learn on the chip; exit 1 if any equality fails."""
    if not models_module("demo").run(out, seed=seed):
        raise typer.Exit(1)


def train(
    recipe: Annotated[
        str, typer.Argument(help="Name of a recipe, such as digits, or a .toml file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the graph goes.", show_default=False)],
    weight_bits: Annotated[
        int | None,
        typer.Option(help="Quantize to 2..8 bits and train on. Default: stay in floating point.", show_default=False),
    ] = None,
    per_channel: Annotated[
        bool,
        typer.Option(
            "--per-channel", help="One weight scale per neuron, also where the recipe has one per connection."
        ),
    ] = False,
    target: Annotated[str, typer.Option("--target", "-t", help="Whose integers to quantize for.")] = "loihi2",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Save each epoch of the float network; if it is there, go on.", show_default=False
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write curves for TensorBoard.", show_default=False)
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Train the network of a recipe and save it as a graph."""
    recipes, training = models_module("recipes"), models_module("training")
    plan = recipes.load(recipe)
    net, data, _ = recipes.train(plan, checkpoint=checkpoint, log=log)
    rows = [_accuracy("float", training.evaluate(net, data.test))]
    if weight_bits is not None:
        with working("calibrating"):
            scales = {"per_channel": True} if per_channel else {}
            net = recipes.quantize(plan, net, data, weight_bits=weight_bits, target=target, **scales)
        rows.append(_accuracy(f"{weight_bits} bits", training.evaluate(net, data.test)))
        if plan.fine_tuning:
            recipes.fine_tune(plan, net, data, log=log and log / "fine_tuning")
            rows.append(_accuracy(f"{weight_bits} bits, trained on", training.evaluate(net, data.test)))
    graph = sm.lower(
        net, name=plan.name, input_kind=data.input.kind, input_bound=data.input.bound, input_shape=data.shape
    )
    sm.save(graph, out)
    if as_json:
        print_json({"recipe": plan.name, "stages": rows, "out": out})
        return
    table(rows)
    say(f"wrote {out}")


def _accuracy(stage: str, found) -> dict[str, object]:
    rates = {f"rate of {name} %": 100 * rate for name, rate in found.rates.items()}
    return {"stage": stage, "test accuracy %": 100 * found.accuracy} | rates
