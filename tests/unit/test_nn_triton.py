"""The GPU's kernels without a GPU: interpreted on CPU tensors, and compiled for one.

`test_nn_gradients.py` holds the interpreted kernels of every neuron against the loop of tensors.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.nn import kernels, trace

POPULATIONS = {
    "LIF": lambda: sm.nn.LIF(0.9, learn="beta"),
    "ALIF": lambda: sm.nn.ALIF(0.9, 0.95, adaptation=1.8, learn=("beta", "vth"), surrogate=sm.nn.MultiGaussian()),
}


def run_on(module, monkeypatch) -> list:
    """Let populations run on a module's kernels (None: the loop of tensors); gives a list of what runs."""
    specs = []
    monkeypatch.setattr(kernels, "fused", lambda spec, a: specs.append(spec) or module)
    return specs


@pytest.mark.parametrize("name", POPULATIONS)
def test_chunks_whose_states_are_handed_on_give_the_gradients_of_the_whole(name, triton_kernels, monkeypatch):
    """What arrives at the last state, and what leaves the first; 200 neurons are more than one program's."""
    torch.manual_seed(0)
    cell, x = POPULATIONS[name](), torch.randn(9, 4, 50, requires_grad=True)
    run_on(None, monkeypatch)
    want = [whole := cell(x), *torch.autograd.grad(whole.cumsum(0).sum(), [x, *cell.parameters()])]
    run_on(triton_kernels(interpreted=True), monkeypatch)
    cell.carrying = lambda state: state
    chunks = torch.cat([cell(part) for part in x.split(4)])
    got = [chunks, *torch.autograd.grad(chunks.cumsum(0).sum(), [x, *cell.parameters()])]
    assert 0.05 < whole.mean() < 0.8
    assert torch.equal(chunks, whole)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_channels_that_come_last_in_memory(triton_kernels, monkeypatch):
    torch.manual_seed(0)
    cell = sm.nn.LIF(torch.rand(3, 1, 1), 0.5)
    x = torch.randn(6, 2, 5, 4, 3).movedim(-1, 2)
    run_on(None, monkeypatch)
    want = cell(x)
    run_on(triton_kernels(interpreted=True), monkeypatch)
    assert torch.equal(cell(x), want)


@pytest.mark.parametrize(("name", "quantized"), [("LIF", False), ("ALIF", True)], ids=["float", "chip"])
def test_the_kernels_compile_for_a_gpu(name, quantized, triton_kernels, monkeypatch, tmp_path):
    """To machine code of compute capability 9.0, and without a multiply-add that would round otherwise than the CPU."""
    try:
        assert pytest.importorskip("triton.knobs").nvidia.ptxas
    except RuntimeError as error:
        pytest.skip(f"no assembler for GPUs: {error}")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    net, x = nn.Sequential(nn.Linear(6, 5, bias=False), POPULATIONS[name]()), torch.ones(7, 3, 6)
    if quantized:
        net = sm.quantize(net, calibration=x.to(torch.uint8))
    specs = run_on(None, monkeypatch)
    net(x).sum().backward()
    module = triton_kernels(interpreted=False)
    forward = compiled(module, module.forward_kernel(specs[0], (1,)))
    assert ".entry loop" in forward
    assert "fma.rn" not in forward
    assert ("cvt.rzi.s64.f32" in forward) == quantized
    assert "fma.rn" not in compiled(module, module.backward_kernel(specs[0]))


def compiled(module, kernel) -> str:
    """The assembly of a kernel for a GPU that need not be there."""
    from triton import compiler
    from triton.backends.compiler import GPUTarget

    constants = {"BLOCK": module.BLOCK, "AHEAD": module.AHEAD}
    kinds = [(r"all_i\d", "*i64"), (r"all_.*", "*fp32"), (r"BLOCK|AHEAD", "constexpr"), (r".*", "i32")]
    signature = {name: next(kind for form, kind in kinds if re.fullmatch(form, name)) for name in kernel.arg_names}
    source = compiler.ASTSource(kernel, signature, constants)
    made = compiler.compile(source, GPUTarget("cuda", 90, 32), module.OPTIONS)
    assert len(made.asm["cubin"]) > 1000
    return made.asm["ptx"]


@pytest.mark.parametrize(
    ("dtype", "recurrent", "name"),
    [
        (torch.float32, False, "seamount.nn.triton_kernels"),
        (torch.float32, True, "no kernels"),
        (torch.float16, False, "no kernels"),
    ],
)
def test_a_gpus_tensors_take_its_kernels_or_the_loop_of_tensors(dtype, recurrent, name, triton_kernels):
    triton_kernels(interpreted=True)
    a = SimpleNamespace(device=torch.device("cuda"), dtype=dtype)
    assert getattr(kernels.fused(SimpleNamespace(recurrent=recurrent), a), "__name__", "no kernels") == name


@pytest.mark.parametrize("times", [0, 0.5, -1])
def test_powers_that_would_differ_between_devices_are_refused(times):
    with pytest.raises(sm.SeamountError, match=rf"a value may be raised to 1 \.\. 8 only \(used {times}\)"):
        trace.record(lambda a: (a**times,), 0, [])
