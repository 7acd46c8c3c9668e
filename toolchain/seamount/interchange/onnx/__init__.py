"""ONNX files: write a graph as one that any ONNX runtime executes, and read it back.

See docs/reference/onnx.md for how the file is laid out.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError, EncodeError
from onnx import ModelProto

from seamount.errors import FileFormatError
from seamount.interchange.files import write_whole
from seamount.interchange.onnx.export import to_model
from seamount.interchange.onnx.layout import MAX_BYTES
from seamount.interchange.onnx.read import from_model, graphs
from seamount.ir import Graph

__all__ = ["from_model", "load", "save", "to_model"]


def save(graph: Graph, path: str | Path, form: str = "scan") -> None:
    """Write a graph to an ONNX file.

    Args:
        graph: float or integer.
        path: of the file.
        form: `"scan"`: whole sequences, `[T, B, *shape]` in and out, starting from zero state. `"step"`: one step,
            `[B, *shape]`, with the state in and out, to stream.

    Raises:
        FileFormatError: the file would exceed 2 GiB, or cannot be written.
        UnsupportedNodeError, GraphError: the graph has no ONNX form.
    """
    model = to_model(graph, form)
    size = sum(len(t.raw_data) for part in graphs(model) for t in part.initializer)
    if size > MAX_BYTES:
        raise FileFormatError(f"{path}: parameters in an ONNX file (used {size} bytes, limit {MAX_BYTES}).")
    try:
        data = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise FileFormatError(f"{path}: cannot be written as ONNX: {error}") from error
    write_whole(path, data)


def load(path: str | Path) -> Graph:
    """Read a graph from an ONNX file that `save` wrote, in either form.

    Raises:
        FileFormatError: the file is truncated, foreign or contradicts itself; names the file and the node.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FileFormatError(f"{path}: is no ONNX file: too large (used {size} bytes, limit {MAX_BYTES}).")
        model = ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror}.") from error
    except DecodeError as error:
        raise FileFormatError(f"{path}: is no ONNX file, or a truncated one: {error}.") from error
    return from_model(model, str(path))
