"""Runs the exported ONNX graph: a witness that shares no arithmetic with the other targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from seamount.errors import TargetError
from seamount.interchange.onnx import to_model
from seamount.ir import Graph, Output
from seamount.program import Program, Result
from seamount.targets import Target
from seamount_targets.reference import Reference, collect


class OnnxRuntime(Target):
    name = "onnxruntime"
    summary = "the exported ONNX graph in onnxruntime, on the CPU: an independent witness"
    stages = ("float", "integer")
    limits = Reference.limits

    def compile(self, graph: Graph, learn: dict[str, Any] | None = None, threads: int = 1) -> Program:
        """Compile; `threads` is how many onnxruntime may use."""
        return OnnxProgram(graph, self.name, threads)


def target(name: str) -> Target:
    return OnnxRuntime()


class OnnxProgram(Program):
    """The Scan form of a graph in an inference session."""

    def __init__(self, graph: Graph, target: str, threads: int) -> None:
        super().__init__(graph, target)
        try:
            import onnxruntime
        except ImportError as error:
            raise TargetError(f"{target}: is not installed. Hint: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors arrive as exceptions
        model = to_model(graph).SerializeToString()
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise TargetError(f"{graph.name}: {target} refuses the exported graph: {error}") from error

    def _run(self, x: np.ndarray, record: frozenset[str]) -> Result:
        graph = self.graph
        out = {n.name: f"{n.name}.spikes" for n in graph.populations if n.spiking and "spikes" in record}
        out |= {graph.output.name: graph.of_type(Output)[0].name}
        v = {n.name: f"{n.name}.v" for n in graph.populations} if "v" in record else {}
        names = [*out.values(), *v.values()]
        try:
            arrays = dict(zip(names, self.session.run(names, {graph.input.name: x}), strict=True))
        except Exception as error:
            raise TargetError(f"{graph.name}: {self.target} failed: {error}") from error
        values, membrane = ({n: arrays[tensor] for n, tensor in chosen.items()} for chosen in (out, v))
        return collect(graph, values, membrane, record)
