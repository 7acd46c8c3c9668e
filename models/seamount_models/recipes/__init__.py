"""Recipes: everything that a training run needs, as one TOML file.

base = "mnist"  at the top: a recipe that comes with the package, of which this one says only what is different
[data]          name, and the settings of that data set: datasets.settings(name)
[network]       kind = "mlp" (the default), "recurrent", "conv", "vgg", "vgg_f" or "resnet": a function of
                seamount_models.networks; the other keys are its arguments: sizes, or layers = "16C5-P2-10" for
                "conv"; bias, seed ...; what the data set tells, as the number of classes, is not among them
[neuron]        model = "LIF", "CubaLIF" ...: its class in sm.nn; slope: of the FastSigmoid surrogate; the other
                keys are arguments of the class; tau = [3.0, 200.0] gives each neuron, or each channel of a convolution,
                its own, from the first to the second as networks.spread has it
[readout]       the same for the last population, as model = "LI"; without this section it is as the others
[training]      epochs, lr, batch_size, shift, seed, loss, activity, validation, patience, clip, chunk, rule, immediate
                ...: as in training.fit; loss = "count_mse" or { name = "count_mse", right = 0.5 }; rule = "OTTT" or
                { name = "EProp", feedback = "Direct" }
[quantization]  per_channel: as in sm.quantize; how many bits and for which target says who quantizes
[fine_tuning]   as [training], for the quantized network
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

import seamount as sm
from seamount.errors import DataError
from seamount_models import datasets, losses, networks, training
from seamount_models.splits import Dataset
from seamount_models.training import History, rules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

FOLDER = Path(__file__).parent
NEURONS: dict[str, type[sm.nn.Neuron]] = {
    name: kind
    for name in sm.nn.__all__
    if isinstance(kind := getattr(sm.nn, name), type) and issubclass(kind, sm.nn.Neuron) and kind is not sm.nn.Neuron
}
POPULATIONS = ("neuron", "readout")
"""Sections that describe a population."""
OWN_KEYS = {"model", "slope"}
"""Their keys that are not arguments of the class."""
GIVEN = {
    "net",
    "data",
    "neuron",
    "readout",
    "progress",
    "shape",
    "classes",
    "input_bound",
    "calibration",
    "weight_bits",
    "target",
}
"""Arguments that come from elsewhere than the section."""


@dataclass(frozen=True)
class Recipe:
    """A recipe; each field is the section of that name, as keyword arguments.

    Attributes:
        name: of the file.
    """

    name: str
    data: dict[str, Any]
    network: dict[str, Any]
    neuron: dict[str, Any]
    training: dict[str, Any]
    quantization: dict[str, Any]
    fine_tuning: dict[str, Any]
    readout: dict[str, Any] | None = None


SECTIONS: dict[str, Callable] = {
    "data": datasets.load,
    "training": training.fit,
    "quantization": sm.quantize,
    "fine_tuning": training.fit,
}
"""Section -> the function that takes it; that of `[network]` goes by its kind."""
NESTED: dict[str, Callable] = {"loss": losses.find, "activity": losses.bounds, "rule": rules.find}
"""Setting with settings of its own -> what checks them."""


def names() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: of a recipe that comes with the package, or the path of a TOML file.

    Raises:
        DataError: there is none of that name, or it has a section or a key that nothing takes.

    Example:
        >>> load("digits").network["sizes"]
        [64, 128, 10]
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    content = _read(path, name)
    _check(path, content)
    return Recipe(path.stem, **{"quantization": {}, "fine_tuning": {}, **content})


def build(recipe: Recipe) -> tuple[nn.Sequential, Dataset]:
    """Return the untrained network and the data set of a recipe."""
    data = datasets.load(**recipe.data)
    readout = None if recipe.readout is None else _population(recipe.readout)
    options = {key: value for key, value in recipe.network.items() if key != "kind"}
    kind = networks.KINDS[recipe.network.get("kind", "mlp")]
    given = {"shape": data.shape, "classes": data.classes, "input_bound": data.input.bound}
    options |= {key: value for key, value in given.items() if key in _parameters(kind)}
    if "classes" not in options:
        sizes = options.get("sizes") or [*data.shape, int(options["layers"].rpartition("-")[2])]
        if (*sizes[: len(data.shape)],) != data.shape or sizes[-1] != data.classes:
            raise DataError(f"{recipe.name}: sizes = {sizes}, but {data.name} is {data.shape} -> {data.classes}.")
    return kind(neuron=_population(recipe.neuron), readout=readout, **options), data


def train(recipe: Recipe, *, progress: bool = True, **changed: Any) -> tuple[nn.Sequential, Dataset, History]:
    """Build a recipe's network and train it in floating point.

    Args:
        recipe: as loaded.
        progress: show a progress bar.
        changed: arguments of `training.fit` that take the place of the recipe's, as `checkpoint`.

    Returns:
        The trained network, its data set, and what `training.fit` recorded.
    """
    net, data = build(recipe)
    return net, data, training.fit(net, data, progress=progress, **{**recipe.training, **changed})


def quantize(recipe: Recipe, net: nn.Module, data: Dataset, **changed: Any) -> nn.Module:
    """Quantize a recipe's network with the settings of `[quantization]`, calibrated on the training split.

    Args:
        recipe, net, data: as `train` has them.
        changed: arguments of `sm.quantize`, as `weight_bits`; they take the place of the recipe's.
    """
    options = {**recipe.quantization, **changed}
    return sm.quantize(net, calibration=data.train, input_bound=data.input.bound, **options)


def fine_tune(recipe: Recipe, net: nn.Module, data: Dataset, *, progress: bool = True, **changed: Any) -> History:
    """Train a quantized network on, in place, with the settings of `[fine_tuning]`; `changed` as in `train`.

    Raises:
        DataError: the recipe has no such section.
    """
    if not recipe.fine_tuning:
        raise DataError(f"{recipe.name}: has no section [fine_tuning].")
    return training.fit(net, data, progress=progress, **{**recipe.fine_tuning, **changed})


def _read(path: Path, name: str) -> dict[str, Any]:
    """The sections of a recipe, with those of its base."""
    if not path.is_file() or (path.parent == FOLDER and path.stem not in names()):
        raise DataError(f"{name}: no such recipe. There are: {', '.join(names())}. Hint: or the path of a .toml file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: is not a TOML file ({error}).") from error
    if "base" not in content:
        return content
    base = content.pop("base")
    if base not in names() or base == path.stem:
        raise DataError(f"{path.name}: base {base!r} is no recipe of the package's. There are: {', '.join(names())}.")
    merged = _read(FOLDER / f"{base}.toml", base)
    for section, keys in content.items():
        both = isinstance(keys, dict) and isinstance(merged.get(section), dict)
        merged[section] = {**merged[section], **keys} if both else keys
    return merged


def _population(section: dict[str, Any]) -> networks.Prototype:
    """What a section describes: populations whose parameters have any shape."""
    options = {key: value for key, value in section.items() if key not in OWN_KEYS}
    if "slope" in section:
        options["surrogate"] = sm.nn.FastSigmoid(section["slope"])
    ranges = {key: value for key, value in options.items() if key.startswith("tau") and isinstance(value, list)}

    def make(shape: tuple[int, ...]) -> sm.nn.Neuron:
        spreads = {key: networks.spread(*value, shape=shape, seed=i) for i, (key, value) in enumerate(ranges.items())}
        return NEURONS[section["model"]](**{**options, **spreads})

    try:
        one = make((1,))
    except (TypeError, sm.SeamountError) as error:
        raise DataError(f"neuron {section['model']}: {error}") from error
    return make if ranges else one


def _check(path: Path, content: dict[str, Any]) -> None:
    """Refuse what nothing would take, all of it at once."""
    needed = {"data": {"name"}, "network": set(), "neuron": {"model"}, "training": {"epochs"}}
    wrong = [f"{path.name}: section [{s}] is missing." for s in needed if s not in content]
    wrong += [
        f"{path.name}: section [{s}] is unknown." for s in content if s not in {"network", *SECTIONS, *POPULATIONS}
    ]
    needed |= {"readout": {"model"}, "fine_tuning": {"epochs"}}
    for section, keys in content.items():
        takes = SECTIONS.get(section)
        if section in POPULATIONS and isinstance(keys, dict):
            model = keys.get("model", "LIF")
            takes = NEURONS.get(model) if isinstance(model, str) else None
            if takes is None:
                wrong.append(f"{path.name}: neuron model {model!r} is unknown. Allowed: {', '.join(NEURONS)}.")
        if section == "network" and isinstance(keys, dict):
            kind = keys.get("kind", "mlp")
            takes = networks.KINDS.get(kind) if isinstance(kind, str) else None
            if takes is None:
                wrong.append(f"{path.name}: network kind {kind!r} is unknown. Allowed: {', '.join(networks.KINDS)}.")
            needed["network"] = _parameters(takes, without_default=True) - GIVEN if takes else set()
        if takes is None and section != "network":
            continue
        if not isinstance(keys, dict):
            wrong.append(f"{path.name}: {section} is not a section. Hint: [{section}].")
            continue
        if takes is None:
            continue
        wrong += [f"{path.name}: [{section}] needs {k}." for k in sorted(needed.get(section, set()) - keys.keys())]
        allowed = _parameters(takes) - GIVEN | (OWN_KEYS if section in POPULATIONS else set())
        allowed |= {"kind"} if section == "network" else set()
        if section == "data" and keys.get("name") in datasets.names():
            allowed = {"name", *datasets.settings(keys["name"])}
        wrong += [f"{path.name}: [{section}] has no setting {k!r}." for k in keys if k not in allowed]
        for key in NESTED.keys() & keys.keys():
            try:
                NESTED[key](keys[key])
            except DataError as error:
                wrong.append(f"{path.name}: [{section}] {error}")
    if wrong:
        raise DataError("\n".join(wrong))


def _parameters(function: Callable, *, without_default: bool = False) -> set[str]:
    """Names that a function takes, or must be given; a class with `**options` also takes those of its base class."""
    parameters = inspect.signature(function).parameters.values()
    if without_default:
        return {p.name for p in parameters if p.default is p.empty}
    found = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    if len(found) < len(parameters) and isinstance(function, type) and function is not sm.nn.Neuron:
        return found | _parameters(function.__mro__[1])
    return found
