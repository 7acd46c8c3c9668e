"""What is not a sound file of ours is refused at once, by name, and never takes memory on the file's word."""

import os
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seamount as sm
from seamount.errors import FileFormatError
from seamount.interchange.files import write_whole
from seamount.interchange.onnx import from_model, to_model
from seamount.testing import random_graph


@pytest.fixture
def graph():
    return random_graph(np.random.default_rng(1), recurrent=1, readout=True)


@pytest.fixture
def model(graph):
    return to_model(graph, "step")


def call(model, name):
    return next(n for n in model.graph.node if n.name == name)


def tensor(model, name):
    return next(t for t in model.graph.initializer if t.name == name)


def attribute(model, node, name):
    return next(a for a in call(model, node).attribute if a.name == name)


def refuses(model, match):
    with pytest.raises(FileFormatError, match=match):
        from_model(model, "net.onnx")


@pytest.mark.parametrize("form", ["scan", "step"])
def test_a_file_cut_anywhere_is_refused(tmp_path, graph, form):
    whole, cut = tmp_path / "whole.onnx", tmp_path / "cut.onnx"
    sm.save(graph, whole, form=form)
    data = whole.read_bytes()
    for size in [0, 1, 2, *range(3, len(data) - 1, len(data) // 60), len(data) - 1]:
        cut.write_bytes(data[:size])
        with pytest.raises(FileFormatError, match=r"cut\.onnx: "):
            sm.load(cut)


def test_a_file_with_flipped_bytes_loads_or_is_refused(tmp_path, graph):
    whole, bad = tmp_path / "whole.onnx", tmp_path / "bad.onnx"
    sm.save(graph, whole)
    data = whole.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(256)
        bad.write_bytes(broken)
        try:
            sm.load(bad)
        except FileFormatError as error:
            refused += 1
            assert str(error).startswith(str(bad))  # noqa: PT017
    assert refused > 50


def test_text_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_text("hello, world\n" * 50)
    with pytest.raises(FileFormatError, match=r"net\.onnx: is"):
        sm.load(path)


def test_a_missing_file_and_what_is_not_a_file_are_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"gone\.onnx: cannot be read: No such file"):
        sm.load(tmp_path / "gone.onnx")
    (tmp_path / "dir.onnx").mkdir()
    with pytest.raises(FileFormatError, match=r"dir\.onnx: cannot be read: it is a directory"):
        sm.load(tmp_path / "dir.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(FileFormatError, match=r"pipe\.onnx: cannot be read: it is not a regular file"):
        sm.load(tmp_path / "pipe.onnx")


@pytest.mark.parametrize("name", ["net.xyz", "net"])
def test_an_unknown_suffix_is_refused(tmp_path, graph, name):
    for act in (lambda: sm.load(tmp_path / name), lambda: sm.save(graph, tmp_path / name)):
        with pytest.raises(FileFormatError, match=rf"{name}: the suffix '.*' names no format \(allowed: .*\.onnx"):
            act()


def test_a_failed_save_leaves_the_old_file(tmp_path, graph, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileFormatError, match=r"net\.onnx: cannot be written: No space left on device"):
        sm.save(graph, path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"net.onnx": b"old"}


def test_a_folder_that_is_not_there_is_named(tmp_path, graph):
    with pytest.raises(FileFormatError, match=r"net\.onnx: cannot be written: No such file"):
        sm.save(graph, tmp_path / "gone" / "net.onnx")
    with pytest.raises(FileFormatError, match="cannot be written: Is a directory"):
        write_whole(tmp_path, b"")


def test_a_foreign_model_is_refused(tmp_path):
    info = helper.make_tensor_value_info
    mlp = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], "mlp",
        [info("x", TensorProto.FLOAT, ["B", 2])], [info("y", TensorProto.FLOAT, ["B", 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")],
    )  # fmt: skip
    path = tmp_path / "mlp.onnx"
    onnx.save(helper.make_model(mlp), path)
    with pytest.raises(FileFormatError, match=r"mlp\.onnx: is an ONNX model without operators of org\.seamount"):
        sm.load(path)
    mixed = helper.make_model(mlp, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("org.seamount", 1)])
    refuses(mixed, "MatMul: is a MatMul, which is no node of a spiking graph")


def test_another_version_of_the_domain_is_refused(model):
    model.opset_import[1].version = 2
    refuses(model, r"net\.onnx: has version 2 of org\.seamount \(allowed 1\)")


@pytest.mark.parametrize("dims", [[2**40, 2**20], [2**62, 2**62], [1], [5, 5]])
def test_dims_that_the_data_does_not_fill_allocate_nothing(model, dims):
    tensor(model, "fc1.weight").dims[:] = dims
    tracemalloc.start()
    refuses(model, r"net\.onnx: fc1\.weight: raw data of shape \[.*\] \(has \d+ bytes, needs \d+\)")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("dims", [[0, 3], [-1, -1]])
def test_dims_must_be_positive(model, dims):
    tensor(model, "fc1.weight").dims[:] = dims
    refuses(model, r"fc1\.weight: has shape .* \(every dimension must be positive\)")


def test_data_that_is_not_raw_is_not_taken(model):
    weight = tensor(model, "fc1.weight")
    weight.ClearField("raw_data")
    weight.int32_data[:] = [1] * int(np.prod(weight.dims))
    refuses(model, r"fc1\.weight: raw data of shape .* \(has 0 bytes")


def test_external_data_is_refused(tmp_path, graph):
    model = to_model(graph)
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="secret", size_threshold=0, convert_attribute=True)
    (tmp_path / "secret").unlink(missing_ok=True)
    with pytest.raises(FileFormatError, match="refers to data outside the file"):
        sm.load(path)


def test_external_data_is_refused_in_a_step_too(model):
    weight = tensor(model, "fc1.weight")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    refuses(model, r"fc1\.weight: refers to data outside the file")


@pytest.mark.parametrize("op", ["Exploit", "Population", "Connection", "Node", "IntCubaLif", ""])
def test_an_unknown_type_is_refused(model, op):
    call(model, "pop1").op_type = op
    refuses(model, rf"net\.onnx: pop1: {op} is no known type of node\. Hint: import")


def test_an_operator_of_another_domain_is_refused(model):
    call(model, "pop1").domain = "com.microsoft"
    refuses(model, r"pop1: is a com\.microsoft\.IntCubaLIF")


def test_a_missing_parameter_is_named(model):
    call(model, "pop1").input[-5] = ""  # du, dv, [vth], bias_mant, reset_by, scale are the last six
    refuses(model, r"net\.onnx: pop1: parameter dv is missing")


def test_a_missing_attribute_is_named(model):
    node = call(model, "pop1")
    node.attribute.remove(attribute(model, "pop1", "reset"))
    refuses(model, "pop1: parameter reset is missing")


def test_an_attribute_of_another_type_or_name_is_named(model):
    attribute(model, "pop1", "bias_exp").type = onnx.AttributeProto.STRING
    refuses(model, "pop1: parameter bias_exp is not of type INT")


def test_an_attribute_of_another_name_is_named(model):
    attribute(model, "pop1", "bias_exp").name = "biasexp"
    refuses(model, "pop1: has no parameter biasexp")


def test_an_attribute_that_is_not_text_is_named(model):
    attribute(model, "pop1", "reset").s = b"\xff"
    refuses(model, "pop1: parameter reset is not text")


def test_a_parameter_that_is_no_initializer_is_named(model):
    call(model, "pop1").input[-6] = "pop1.u.last"
    refuses(model, r"pop1: parameter du = 'pop1\.u\.last' is not an initializer")


def test_a_parameter_of_another_element_type_is_named(model):
    vth = tensor(model, "pop1.vth")
    vth.CopyFrom(numpy_helper.from_array(np.array(1.5), "pop1.vth"))
    refuses(model, r"pop1: vth has element type DOUBLE \(allowed: INT8, INT16, INT32, INT64\)")


def test_an_element_type_that_no_parameter_has_is_named(model):
    tensor(model, "pop1.vth").data_type = 99
    refuses(model, r"pop1\.vth: has element type 99, which no parameter has")


def test_too_few_inputs_are_named(model):
    del call(model, "pop1").input[2:]
    refuses(model, r"pop1: has 2 inputs \(allowed at least 9\)")


def test_too_many_inputs_of_a_connection_are_named(model):
    call(model, "fc1").input.append("fc1.weight")
    refuses(model, r"fc1: has 3 inputs \(allowed 2\)")


def test_an_input_that_nobody_writes_is_named(model):
    call(model, "fc1").input[0] = "nowhere"
    refuses(model, "fc1: reads 'nowhere', which no node writes")


def test_a_delay_line_must_fit_its_connection(model):
    attribute(model, "rec1", "delay").i = 0
    refuses(model, r"rec1: delay 0 does not fit what it reads, 'rec1\.line\.last'")


def test_a_delay_needs_a_line(model):
    attribute(model, "fc1", "delay").i = 3
    refuses(model, r"fc1: delay 3 does not fit what it reads, 'input\.spikes'")


def test_a_delay_line_that_nobody_feeds_is_named(model):
    call(model, "rec1.line").input[1] = "nowhere"
    refuses(model, r"rec1\.line: reads 'nowhere'")


def test_a_delay_line_of_another_form_is_named(model):
    del call(model, "rec1.line").input[1]
    refuses(model, r"rec1\.line: DelayLine has 1 inputs \(allowed 2\)")


def test_two_nodes_of_one_name_are_refused(model):
    call(model, "fc2").name = "fc1"
    refuses(model, r"net\.onnx: does not hold a sound graph: fc1: the name is given to several nodes")


def test_a_node_without_a_name_is_refused(model):
    call(model, "fc2").name = ""
    refuses(model, "a node of type IntLinear.* has no name")


def test_a_contradiction_inside_a_node_is_named(model):
    attribute(model, "pop1", "shape").ints[:] = [2**30]
    refuses(model, r"net\.onnx: does not hold a sound graph: pop1: has shape .*\nrec1: weight .*")
    attribute(model, "pop1", "shape").ints[:] = [2**32, 2**32]
    refuses(model, r"net\.onnx: .*pop1: shape .* \(used 18446744073709551616 values, limit 2147483647\)")


def test_more_nodes_than_any_network_has_are_refused(model):
    model.graph.node.extend([call(model, "fc1")] * 2000)
    refuses(model, r"nodes \(used 20\d\d, limit 1024\)")


def test_an_empty_model_is_refused(model):
    del model.graph.node[:]
    refuses(model, "holds no nodes")


def test_a_name_that_is_not_text_is_refused(model):
    data = model.SerializeToString().replace(b"fc1.weight", b"fc1\xffweight")
    refuses(onnx.ModelProto.FromString(data), r"net\.onnx: holds a name that is not UTF-8 text")


def test_two_scans_are_refused(graph):
    model = to_model(graph)
    model.graph.node.append(model.graph.node[-1])
    refuses(model, r"has 2 Scan nodes \(allowed 1\)")


def test_what_a_file_says_a_function_does_is_not_believed(graph, model):
    (function,) = [f for f in model.functions if f.name == "IntCubaLIF"]
    del function.node[:]
    assert str(from_model(model)) == str(graph)
