"""What holds the packages together: who may import whom, what importing costs, what is public, what is shipped."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import seamount as sm

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "seamount": ROOT / "toolchain/seamount",
    "seamount_targets": ROOT / "targets/seamount_targets",
    "seamount_models": ROOT / "models/seamount_models",
}

GENERATES_CODE = {"targets/seamount_targets/loihi/neuron_kernel.py", "toolchain/seamount/nn/loops.py"}
"""Files that may `exec`: the text they run is their own and holds nothing that was read."""


def modules(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    return found


def imported(path: Path) -> Iterator[str]:
    """Top-level packages of every import statement in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("seamount", {"seamount_targets", "seamount_models"}),
        ("seamount_targets", {"seamount_models"}),
        ("seamount_models", {"seamount_targets"}),
    ],
)
def test_packages_import_in_one_direction(package, never):
    wrong = {str(path.relative_to(ROOT)): found for path in modules(package) if (found := never & set(imported(path)))}
    assert wrong == {}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_unpickles_or_runs_text(package):
    for path in modules(package):
        assert not {"pickle", "dill", "joblib", "shelve", "marshal"} & set(imported(path)), path
        for name, call in calls(path):
            allowed = name == "exec" and path.relative_to(ROOT).as_posix() in GENERATES_CODE
            # tensors and plain values only: torch's own reader then runs nothing
            allowed |= name == "torch.load" and any(
                k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords
            )
            assert allowed or name not in ("eval", "exec", "torch.load", "yaml.load"), f"{path}: {name}"
            if name.endswith(".load"):
                assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in call.keywords), path


@pytest.mark.parametrize("statement", ["import seamount", "from seamount.cli import app", "import seamount.ir"])
def test_importing_is_quick_because_it_leaves_torch_out(statement):
    code = (
        f"import sys; {statement}; print([m for m in ('torch', 'brevitas', 'lava', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    names = "Graph SeamountError compile errors learning load lower nn quantize save targets verify"
    assert sm.__all__ == names.split()
    assert dir(sm) == sm.__all__


@pytest.mark.parametrize("name", sm.__all__)
def test_a_public_name_is_there_and_is_described(name):
    value = getattr(sm, name)
    assert value.__doc__
    assert getattr(sm, name) is value


def test_functions_are_not_hidden_by_modules_of_their_name():
    """`import seamount.verification` must not turn `sm.verify` into a module, and so on."""
    files = {path.stem for path in PACKAGES["seamount"].iterdir()}
    assert not files & {"compile", "lower", "verify", "quantize", "save", "load"}


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="module 'seamount' has no attribute 'teleport'"):
        sm.teleport  # noqa: B018


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_nothing_else(tmp_path):
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".uv/bin"))
    if uv is None:
        pytest.skip("needs uv to build the wheel")
    subprocess.run([uv, "build", "--wheel", "--out-dir", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert "seamount/report/style.css" in names
    assert "seamount_models/recipes/digits.toml" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
