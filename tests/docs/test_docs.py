"""The documentation keeps up with the code: links lead somewhere, code is code, names and commands exist."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest
from typer.main import get_command

import seamount as sm
from seamount.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]\[]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return [textwrap.dedent(text) for _, kind, text in FENCE.findall(page.read_text()) if kind == language]


def slugs(page: Path) -> set[str]:
    """Anchors of a page's headings, as the site makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in headings}


def test_there_are_pages():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "CHANGELOG.md", "docs/index.md", "docs/architecture.md", "docs/reference/cli.md"} <= names


@pages
def test_links_lead_to_files_and_headings(page):
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in slugs(target), f"{page.name}: {link}"


@pages
def test_python_blocks_are_python(page):
    for block in blocks(page, "python"):
        ast.parse(block, str(page))


@pages
def test_names_of_seamount_exist(page):
    """Every `sm.a.b` in code or text, and every `from seamount... import name` in code."""
    for chain in set(re.findall(r"\bsm((?:\.[A-Za-z_]\w*)+)", page.read_text())):
        value = sm
        for name in chain[1:].split("."):
            value = getattr(value, name)
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seamount"):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pages
def test_commands_and_their_options_exist(page):
    code = "\n".join(blocks(page, "console") + re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text())))
    for name, rest in re.findall(r"^\$? ?seamount (?:--debug )?([a-z]+)\b(.*)$", code, re.MULTILINE):
        assert name in COMMANDS, f"seamount {name}"
        command = COMMANDS[name]
        if parts := getattr(command, "commands", None):
            name, _, rest = rest.strip().partition(" ")
            assert not name or name in parts, f"{command.name} {name}"
            command = parts.get(name, command)
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.split("#")[0]))
        assert used <= options, f"seamount {name}: {used - options}"


def test_the_reference_lists_every_command():
    text = (ROOT / "docs/reference/cli.md").read_text()
    assert set(re.findall(r"^\| `seamount ([a-z]+)", text, re.MULTILINE)) == set(COMMANDS)


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        code = "\n".join(blocks(page, "console") + re.findall(r"`([^`\n]+)`", page.read_text()))
        assert set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE)) <= targets, page


def test_every_dependency_has_its_reason():
    """The table in the architecture names every dependency of the package."""
    text = (ROOT / "docs/architecture.md").read_text()
    required = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("]")[0]
    names = re.findall(r'^ *"([\w-]+)', required, re.MULTILINE)
    assert len(names) > 5
    for name in names:
        assert re.search(rf"^\| [^|]*\b{re.escape(name)}\b", text, re.MULTILINE), name
