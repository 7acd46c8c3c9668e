"""A training run in a file, from which it goes on as if it had never stopped.

The file holds tensors and plain values only, written by `torch.save` and read with `weights_only=True`, which runs
nothing that a file holds. It is replaced whole or not at all.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seamount.errors import DataError, FileFormatError
from seamount.interchange.files import write_whole
from seamount_models.training.history import History

FORMAT = "seamount checkpoint 1"


@dataclass
class Run:
    """All that an epoch of `fit` changes.

    Attributes:
        net, optimizer, schedule: by their `state_dict`.
        history: with as many entries as epochs are done.
        best: weights of the best epoch, with validation.
        feedback: random weights by which an online rule's error comes back, as far as they are drawn.
        settings: arguments of the run; one with others would not go on but become a third.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    settings: dict[str, Any]
    history: History
    best: dict[str, Tensor] | None = None
    feedback: dict[str, Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.history.loss)

    def keep_best(self) -> None:
        """Remember the weights as they are."""
        self.best = {key: value.detach().clone() for key, value in self.net.state_dict().items()}

    def restore_best(self) -> None:
        """Go back to the weights that were remembered, if any were."""
        if self.best is not None:
            self.net.load_state_dict(self.best)

    def save(self, path: str | Path, generators: list[Tensor]) -> None:
        """Write the run.

        Args:
            path: of the file.
            generators: states of torch's generators, one tensor a process, as `generator_state` gives them.

        Raises:
            FileFormatError: the file cannot be written.
        """
        content = {
            "format": FORMAT,
            "settings": self.settings,
            "network": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": asdict(self.history),
            "best": self.best,
            "generators": generators,
        }
        if self.feedback:
            content["feedback"] = self.feedback
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_whole(path, buffer.getvalue())

    def load(self, path: str | Path, rank: int = 0) -> None:
        """Go back to a run as it was written, torch's generators included.

        Args:
            path: of the file.
            rank: of this process.

        Raises:
            FileFormatError: the file is truncated or is no checkpoint, or its network is another.
            DataError: the run was begun with other settings.
        """
        content = _read(path)
        for weights in (content["network"], content["best"] or content["network"]):
            _same_network(path, weights, self.net.state_dict())
        for key, value in self.settings.items():
            if (had := content["settings"].get(key)) != value:
                raise DataError(
                    f"{path}: was written by a run with {key} = {had!r}, this one has {value!r}. "
                    "Hint: give the same settings to go on, or another file to begin anew."
                )
        try:
            self.net.load_state_dict(content["network"])
            self.optimizer.load_state_dict(content["optimizer"])
            if content["schedule"].keys() != self.schedule.state_dict().keys():
                raise ValueError("the schedule is another")
            self.schedule.load_state_dict(content["schedule"])
            self.history.__dict__.update(asdict(History(**content["history"])))
            device = next(self.net.parameters()).device
            set_generator_state(content["generators"][rank], device)
            self.feedback.update({name: weight.to(device) for name, weight in content.get("feedback", {}).items()})
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise FileFormatError(f"{path}: does not hold a sound run ({error}).") from error
        self.best = content["best"]


def load_weights(path: str | Path, net: nn.Module) -> None:
    """Load the network of a checkpoint: the weights of its best epoch, or without validation of its last.

    Raises:
        FileFormatError: the file is missing, truncated or no checkpoint, or its network is another.
    """
    content = _read(path)
    weights = content["best"] or content["network"]
    _same_network(path, weights, net.state_dict())
    net.load_state_dict(weights)


def generator_state(device: torch.device) -> Tensor:
    """States of the generators that a network on this device draws from, uint8, one after the other."""
    state = torch.get_rng_state()
    return state if device.type != "cuda" else torch.cat([state, torch.cuda.get_rng_state(device)])


def set_generator_state(state: Tensor, device: torch.device) -> None:
    """Put generators back to what `generator_state` found."""
    length = len(torch.get_rng_state())
    torch.set_rng_state(state[:length])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[length:], device)


def _read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, its parts of the right kind."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            # torch does not compress; a file that does may ask for more memory than it holds bytes
            raise FileFormatError(f"{path}: is no checkpoint (compressed entries).")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileFormatError:
        raise
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror}.") from error
    except Exception as error:  # whatever torch makes of a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FileFormatError(f"{path}: is truncated or no checkpoint ({reason}).") from error
    kinds = {
        "settings": dict, "network": Mapping, "optimizer": dict, "schedule": dict, "history": dict,
        "best": Mapping | None, "generators": list,
    }  # fmt: skip
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileFormatError(f"{path}: is no checkpoint of format {FORMAT!r}.")
    if wrong := [key for key, kind in kinds.items() if key not in content or not isinstance(content[key], kind)]:
        raise FileFormatError(f"{path}: {wrong[0]} is missing or of the wrong kind.")
    return content


def _same_network(path: str | Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise at the first key whose tensor is not the network's."""
    for key in [*wanted, *(key for key in found if key not in wanted)]:
        have, want = (_describe(tensors.get(key)) for tensors in (found, wanted))
        if have != want:
            raise FileFormatError(
                f"{path}: is of another network: {key} is {have}, the network's {want}. "
                "Hint: build the network as for the run that wrote it."
            )


def _describe(value: Any) -> str:
    if not isinstance(value, Tensor):
        return "missing" if value is None else type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
