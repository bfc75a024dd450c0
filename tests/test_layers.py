"""The house plan, held: floors, no import cycles, who may import what, and that every hook is documented and tested."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import core.plugins
from core import hookspecs

ROOT = Path(core.plugins.__file__).parent.parent
CORE = ROOT / "core"
REPOSITORY = Path(__file__).parent.parent
PLUGINS = REPOSITORY / "plugins"

# A floor imports itself and what is below it (above it in this list).
FLOORS = [
    ["dataclass", "errors", "dtypes", "codebase"],
    ["graph"],
    ["pickling"],
    ["ccode"],
    ["op", "external"],
    ["inner"],
    ["ir"],
    ["device"],
    ["rewriting"],
    ["tensor"],
    ["gradient"],
    ["scanning"],
    ["composed", "traced", "checkpointing"],
    [
        "markers",
        "lazy",
        "records",
        "hookspecs",
        "registry",
        "registries",
        "own_plugin",
        "installed",
        "discovery",
        "plugins",
        "options",
        "threads",
        "cells",
        "cachedir",
        "ops",
        "backend",
    ],
    ["compile"],
    ["printing"],
    ["testing", "diagnosis", "new_plugin"],
    ["__init__"],
    ["demo"],  # a user's program
    ["cli", "__main__"],
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}

# What core may import besides itself and the standard library, and where it may import more.
NEEDED = {"numpy", "pluggy"}
EXTRAS = {
    "demo": {"matplotlib", "rich", "sklearn"},
    "testing": {"hypothesis", "pytest"},
}

# What a plugin may import of core.
PUBLIC = {"", "dataclass", "errors", "dtypes", "markers", "lazy", "records", "options", "threads", "cells", "cachedir"}
OF_GRAPHS = {"inner", "composed", "traced", "checkpointing"}
OP_PACK = PUBLIC | OF_GRAPHS | {"graph", "ccode", "op", "external", "tensor", "ir", "rewriting", "gradient"}
OP_PACK |= {"device"}  # routines with kernels of their own
BACKEND = PUBLIC | {"ccode", "ir", "device", "backend"}


def module_of(file: Path, root: Path) -> str:
    """core/tensor/type.py -> core.tensor.type; a package is called by its own name."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(package: Path, root: Path) -> dict[str, ast.Module]:
    return {module_of(file, root): ast.parse(file.read_text()) for file in sorted(package.rglob("*.py"))}


BY_NAME = {"import_module", "_import_module", "__import__"}


def imports(module: str, tree: ast.Module, known: set[str], packages: set[str]) -> set[str]:
    """What a module imports anywhere, inside functions and by name too.  ``from a import b`` is a.b if that is one."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in BY_NAME:
                found.add(node.args[0].value)
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = module.split(".") if module in packages else module.split(".")[:-1]
                base = ".".join([*own[: len(own) - node.level + 1], *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    return found


TREES = sources(CORE, ROOT)
PACKAGES = {module_of(file, ROOT) for file in CORE.rglob("__init__.py")}
IMPORTS = {name: imports(name, tree, set(TREES), PACKAGES) for name, tree in TREES.items()}


def part_of(module: str) -> str:
    """core.tensor.type -> tensor; core itself -> __init__."""
    return module.split(".")[1] if "." in module else "__init__"


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """A cycle of imports, or an empty list."""
    done: set[str] = set()
    for start in edges:
        path, pending = [], [(start, False)]
        while pending:
            name, leaving = pending.pop()
            if leaving:
                path.pop()
                done.add(name)
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done and name in edges:
                path.append(name)
                pending.append((name, True))
                pending.extend((other, False) for other in sorted(edges[name]))
    return []


def test_every_part_of_core_has_a_floor():
    assert {part_of(name) for name in TREES} - set(FLOOR_OF) == set()


@pytest.mark.parametrize("part", sorted({part_of(name) for name in TREES}))
def test_a_lower_floor_never_imports_a_higher_one(part):
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        if part_of(name) == part
        for other in sorted(others)
        if other.split(".")[0] == "core" and FLOOR_OF[part_of(other)] > FLOOR_OF[part]
    ]
    assert wrong == []


def test_no_modules_of_core_import_each_other_in_a_cycle():
    assert " -> ".join(find_cycle(IMPORTS)) == ""


def test_the_search_for_cycles_finds_one():
    assert find_cycle({"a": {"b"}, "b": {"c", "numpy"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_are_found_in_every_form():
    tree = ast.parse(
        "import a.b\nfrom core import errors, config\ndef f():\n    from .type import T\n    from . import x\n"
        "    return import_module('by.name'), importlib.import_module('c'), __import__('d'), import_module(name)"
    )
    found = imports("core.tensor.shape", tree, {"core.errors", "core.tensor.type"}, {"core.tensor"})
    assert found == {"a.b", "core.errors", "core", "core.tensor.type", "core.tensor", "by.name", "c", "d"}


def test_core_imports_numpy_pluggy_and_the_standard_library_alone():
    wrong = []
    for name, others in IMPORTS.items():
        allowed = NEEDED | EXTRAS.get(part_of(name), set()) | {"core"} | sys.stdlib_module_names
        wrong += [f"{name} imports {other}" for other in sorted(others) if other.split(".")[0] not in allowed]
    assert wrong == []


def plugin_folders():
    return [folder for folder in sorted(PLUGINS.glob("*")) if (folder / "pyproject.toml").is_file()]


@pytest.mark.parametrize("folder", plugin_folders(), ids=lambda folder: folder.name)
def test_a_plugin_imports_only_the_parts_of_core_that_are_its_own_business(folder):
    package = folder / f"plugin_{folder.name}"
    trees = sources(package, folder)
    packages = {module_of(file, folder) for file in package.rglob("__init__.py")}
    allowed = BACKEND if folder.name.startswith("backend_") else OP_PACK
    edges = {name: imports(name, tree, set(trees) | set(TREES), packages) for name, tree in trees.items()}
    wrong = []
    for name, others in edges.items():
        for other in sorted(others):
            top, _, rest = other.partition(".")
            part = rest.split(".")[0]
            if top == "core" and part not in allowed:
                wrong.append(f"{name} imports {other}")
            if other == "core.ir.clike.cfamily" and not folder.name.startswith("backend_"):
                wrong.append(f"{name} imports {other}: only backends write code")
            if top.startswith("plugin_") and top != package.name and not depends_on(folder, top):
                wrong.append(f"{name} imports {other}, which {folder.name}/pyproject.toml does not name")
    assert wrong == []
    assert find_cycle(edges) == []


def depends_on(folder: Path, package: str) -> bool:
    return package.replace("_", "-") in (folder / "pyproject.toml").read_text()


# --- hooks ----------------------------------------------------------------------------------------------------------

HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "core_spec")]


def test_there_are_at_most_eleven_hooks():
    assert len(HOOKS) == 11


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_when_it_is_called_what_to_return_and_what_goes_wrong(hook):
    doc = inspect.getdoc(getattr(hookspecs, hook))  # Python 3.13 strips the indentation itself
    for word in ("Called  ", "Return  ", "Errors  "):
        assert f"\n{word}" in doc


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented(hook):
    text = (REPOSITORY / "docs" / "hooks.md").read_text()
    assert f"\n### `{hook}(" in text


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_tested(hook):
    tree = ast.parse((REPOSITORY / "tests" / "plugins" / "test_hooks.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert f"test_hook_{hook}" in names


# --- import core ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["import core", "from core import hookimpl", "import core; core.hookspec"])
def test_importing_core_scans_nothing_and_imports_no_plugin(statement):
    code = f"""
import sys, numpy
before = set(sys.modules)
{statement}
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "core" in loaded
    heavy = {"importlib.metadata", "scipy", "cffi", "matplotlib", "rich", "sklearn", "pyopencl", "pycuda"}
    assert [name for name in loaded if name in heavy or name.startswith("plugin_")] == []
