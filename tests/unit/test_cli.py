"""The command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import sys
import zipfile
from types import ModuleType

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import seamount as sm
from seamount import testing
from seamount.cli import app
from seamount.program import Program
from seamount_models.training.checkpoint import Run

RECIPE = """
[data]
name = "digits"
steps = 4
[network]
sizes = [64, 32, 10]
seed = 0
[neuron]
model = "LIF"
beta = 0.9
[training]
epochs = 4
batch_size = 64
lr = 0.01
threads = 1
[fine_tuning]
epochs = 1
batch_size = 256
threads = 1
"""


def seamount(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def message(result: Result) -> str:
    """What was said on stderr, with the line breaks of the terminal taken out."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def graph() -> sm.Graph:
    return testing.random_graph(np.random.default_rng(0), depth=2, recurrent=1)


@pytest.fixture
def net(graph, tmp_path):
    path = tmp_path / "net.onnx"
    sm.save(graph, path)
    return path


@pytest.fixture
def spikes(graph):
    return testing.random_spikes(np.random.default_rng(1), graph, steps=6, batch=3)


def test_no_command_shows_the_commands():
    result = seamount("--help")
    assert result.exit_code == 0
    for command in ("demo", "train", "inspect", "export", "run", "verify", "report", "targets"):
        assert f" {command} " in result.stdout


def test_targets_as_json_names_every_target():
    rows = json.loads(seamount("targets", "--json").stdout)
    assert [row["name"] for row in rows] == sm.targets.names()
    reference = next(row for row in rows if row["name"] == "reference")
    assert reference["installed"]
    assert reference["stages"] == ["float", "integer"]


def test_targets_as_a_table():
    result = seamount("targets")
    assert result.exit_code == 0
    assert sm.targets.find("reference").summary in result.stdout


def test_a_target_that_is_not_installed_is_listed_with_the_reason(monkeypatch):
    def find(name):
        raise sm.targets.TargetError(f"{name}: needs a package. Hint: install it.")

    monkeypatch.setattr(sm.targets, "find", find)
    rows = json.loads(seamount("targets", "--json").stdout)
    assert rows
    assert all(not row["installed"] and "Hint: install it." in row["summary"] for row in rows)


def test_inspect_shows_the_graph(net, graph):
    result = seamount("inspect", net)
    assert result.exit_code == 0
    assert str(graph) in result.stdout
    assert "limits of" not in result.stdout


def test_inspect_as_json_gives_nodes_and_used_and_allowed_pairs(net, graph):
    found = json.loads(seamount("inspect", net, "--target", "reference", "--json").stdout)
    assert [node["name"] for node in found["nodes"]] == [node.name for node in graph.order]
    weight = next(use for use in found["limits"] if use["node"] == "fc1" and use["parameter"] == "weight")
    assert weight["used"] == [graph["fc1"].weight.min(), graph["fc1"].weight.max()]
    assert weight["allowed"] == list(sm.targets.find("reference").limits.weight)
    assert found["problems"] == []


def test_inspect_of_a_graph_that_does_not_fit_fails(graph, tmp_path):
    sm.save(graph.with_weight("fc1", graph["fc1"].weight * 0 + 40_000), tmp_path / "big.onnx")
    result = seamount("inspect", tmp_path / "big.onnx", "--target", "reference")
    assert result.exit_code == 1
    assert "does not fit reference: fc1: weight = 40000 (allowed -32768..32768)." in result.stdout


def test_names_from_a_file_cannot_control_the_terminal(tmp_path):
    graph = testing.random_graph(np.random.default_rng(0), depth=1)
    sm.save(sm.Graph(graph, name="evil\x1b[2J[red]"), tmp_path / "evil.onnx")
    result = seamount("inspect", tmp_path / "evil.onnx", "--target", "reference")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "evil\ufffd[2J[red]" in result.stdout


@pytest.mark.parametrize("form", ["scan", "step"])
def test_export_writes_a_graph_that_loads_again(net, graph, tmp_path, form):
    out = tmp_path / "out.onnx"
    assert seamount("export", net, "--out", out, "--form", form).exit_code == 0
    assert str(sm.load(out)) == str(graph)


def test_run_saves_what_the_program_returns(net, graph, spikes, tmp_path):
    np.save(tmp_path / "in.npy", spikes)
    out = tmp_path / "out.npz"
    result = seamount(
        "run", net, "--target", "reference", "--spikes", tmp_path / "in.npy", "--out", out,
        "--record", "v", "--record", "spikes", "--json",
    )  # fmt: skip
    want = sm.compile(graph, target="reference").run(spikes, record=("v", "spikes"))
    assert json.loads(result.stdout)["counts"] == want.counts.tolist()
    with np.load(out) as found:
        assert set(found.files) == {"output", "counts", "spikes/pop1", "spikes/pop2", "v/pop1", "v/pop2"}
        np.testing.assert_array_equal(found["output"], want.output)
        np.testing.assert_array_equal(found["v/pop2"], want.v["pop2"])


def test_random_input_is_the_same_for_the_same_seed(net):
    counts = [json.loads(seamount("run", net, "--random", "--seed", s, "--json").stdout)["counts"] for s in (1, 1, 2)]
    assert counts[0] == counts[1]
    assert counts[0] != counts[2]


def test_verify_compares_the_targets_that_are_named(net, spikes, tmp_path):
    np.savez_compressed(tmp_path / "in.npz", spikes=spikes)
    result = seamount(
        "verify", net, "-t", "reference", "-t", "onnxruntime", "--spikes", tmp_path / "in.npz", "--json"
    )  # fmt: skip
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["ok"]
    assert [row["target"] for row in found["rows"]] == ["reference", "onnxruntime"]
    assert all(row["equal"] == row["values"] > 0 for row in found["rows"])


def test_verify_fails_where_targets_differ(net, monkeypatch):
    find = sm.targets.find

    class Wrong(Program):
        def _run(self, x, record):
            result = find("reference").compile(self.graph).run(x, record=tuple(record))
            if self.target == "onnxruntime":
                result.v["pop1"][2, 0, 3] += 1
            return result

    monkeypatch.setattr("seamount.compiler.compile", Wrong)
    result = seamount("verify", net, "-t", "reference", "-t", "onnxruntime", "--random")
    assert result.exit_code == 1
    assert "pop1: v of neuron 3 differ first at step 2 of sample 0" in message(result)


def test_report_writes_a_page_with_rasters(net, tmp_path):
    out = tmp_path / "r.html"
    assert seamount("report", net, "--random", "--out", out).exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert "Limits of reference" in page
    assert page.count("<svg") == 3, "the input and two populations"


def test_train_saves_the_float_or_the_quantized_graph(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    stages = {}
    for bits in ([], ["--weight-bits", 4]):
        result = seamount("train", tmp_path / "tiny.toml", "--out", tmp_path / "tiny.onnx", "--json", *bits)
        assert result.exit_code == 0, result.stderr
        graph = sm.load(tmp_path / "tiny.onnx")
        assert graph.name == "tiny"
        rows = json.loads(result.stdout)["stages"]
        assert all(row["test accuracy %"] > 30 for row in rows), "chance is 10 %"
        stages[graph.stage] = [row["stage"] for row in rows]
    assert stages == {"float": ["float"], "integer": ["float", "4 bits", "4 bits, trained on"]}


def test_training_that_breaks_off_goes_on_to_the_same_weights(monkeypatch, tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    save, epochs = Run.save, []

    def killed(run, *arguments):
        epochs.append(run.epoch)
        save(run, *arguments)
        if run.epoch == 2:
            raise KeyboardInterrupt

    def train(name, *options):
        result = seamount("train", tmp_path / "tiny.toml", "--out", tmp_path / name, *options)
        return result, (tmp_path / name).is_file() and sm.load(tmp_path / name)

    _, whole = train("whole.onnx")
    monkeypatch.setattr(Run, "save", killed)
    broken, nothing = train("parts.onnx", "--checkpoint", tmp_path / "run.pt")
    assert broken.exit_code != 0
    assert not nothing
    done, parts = train("parts.onnx", "--checkpoint", tmp_path / "run.pt")
    assert done.exit_code == 0
    assert epochs == [1, 2, 3, 4]
    for connection in whole.connections:
        np.testing.assert_array_equal(parts[connection.name].weight, connection.weight)


def test_training_writes_curves(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    arguments = ["train", tmp_path / "tiny.toml", "--out", tmp_path / "tiny.onnx", "--weight-bits", 4]
    assert seamount(*arguments, "--log", tmp_path / "log").exit_code == 0
    curves = sorted(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("events.out.tfevents*"))
    assert curves == ["log", "log/fine_tuning"]


@pytest.mark.parametrize("ok", [True, False])
def test_demo_fails_where_an_equality_fails(monkeypatch, tmp_path, ok):
    calls, module = [], ModuleType("seamount_models.demo")
    module.run = lambda report, seed: calls.append((report, seed)) or ok  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "seamount_models.demo", module)
    result = seamount("demo", "--out", tmp_path / "r.html", "--seed", 3)
    assert calls == [(tmp_path / "r.html", 3)]
    assert result.exit_code == (0 if ok else 1)


def test_models_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "seamount_models", None)
    monkeypatch.setitem(sys.modules, "seamount_models.demo", None)
    result = seamount("demo")
    assert result.exit_code == 2
    assert "seamount_models.demo: is not installed" in message(result)


def bad_inputs(tmp_path) -> dict[str, tuple[list[object], str]]:
    """By name: arguments after `run NET`, and what must be said."""
    np.save(tmp_path / "float.npy", np.zeros((2, 1, 21), np.float32))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    whole = (tmp_path / "float.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-10])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.npz").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "greedy.npz", "w") as archive:
        header = str({"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 1 << 20)}).ljust(117) + "\n"
        archive.writestr("spikes.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    file = lambda name: ["--spikes", tmp_path / name]  # noqa: E731
    return {
        "shape": (["--data", "digits"], "input: spikes have shape"),
        "dtype": (file("float.npy"), "dtype float32"),
        "pickle": (file("object.npy"), "object.npy: is no NumPy file"),
        "truncated": (file("short.npy"), "short.npy: is no NumPy file, or a truncated one"),
        "foreign": (file("text.npy"), "text.npy: is no NumPy file"),
        "foreign archive": (file("text.npz"), "text.npz: is no NumPy file"),
        "ambiguous": (file("two.npz"), "two.npz: holds no array `spikes` among a, b"),
        "greedy": (file("greedy.npz"), "asks for 1152921504606846976 bytes, more than it holds"),
        "missing": (file("none.npy"), "none.npy: cannot be read"),
        "folder": (["--spikes", tmp_path], "it is a directory"),
        "no source": ([], "give --spikes FILE, --data NAME or --random"),
        "two sources": (["--random", "--data", "digits"], "give one of --spikes FILE, --data NAME and --random"),
        "target": (["--random", "-t", "abacus"], "abacus: no such target"),
        "data set": (["--data", "nothing"], "nothing: no such data set"),
        "suffix": (["--random", "--out", "out.txt"], "out.txt: the output is written as .npz"),
        "record": (["--random", "--record", "v"], "--record needs --out"),
        "unknown record": (["--random", "--record", "x", "--out", tmp_path / "o.npz"], "x cannot be recorded"),
        "out": (["--random", "--out", tmp_path / "no" / "o.npz"], "o.npz: cannot be written"),
        "steps": (["--random", "--steps", "0"], "should be greater than or equal to 1"),
    }


@pytest.mark.parametrize("case", [
    "shape", "dtype", "pickle", "truncated", "foreign", "foreign archive", "ambiguous", "greedy", "missing", "folder",
    "no source", "two sources", "target", "data set", "suffix", "record", "unknown record", "out", "steps",
])  # fmt: skip
def test_bad_input_is_one_message_and_exit_code_2(net, tmp_path, case):
    arguments, expected = bad_inputs(tmp_path)[case]
    result = seamount("run", net, *arguments)
    assert result.exit_code == 2
    assert expected in message(result)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_truncated_graph_is_one_message(net):
    net.write_bytes(net.read_bytes()[:200])
    result = seamount("inspect", net)
    assert result.exit_code == 2
    assert message(result).startswith("error: ")
    assert "net.onnx" in message(result)


def test_debug_shows_the_traceback(tmp_path):
    result = seamount("--debug", "inspect", tmp_path / "none.onnx")
    assert isinstance(result.exception, sm.SeamountError)
    assert isinstance(seamount("inspect", tmp_path / "none.onnx").exception, SystemExit)
