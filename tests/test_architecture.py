"""The house holds: which way imports point, how long things are, what must not be used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mira_nb.stages.registry import BUILT_IN

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mira_nb"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 10
HEAVY = ("torch", "pyro", "scanpy", "palantir", "gseapy", "altair", "matplotlib", "umap", "numba", "MOODS", "jax")

FOUNDATION = {"errors", "keys", "typing", "chromosomes", "counts", "text", "sentences", "version"}
"""Imported by everyone but core, which sees no keys."""

MAY_IMPORT = {
    "errors": set(),
    "keys": set(),
    "typing": set(),
    "text": set(),
    "sentences": {"text", "errors"},
    "version": set(),
    "chromosomes": {"errors", "typing"},
    "counts": {"errors", "typing", "sentences"},
    "core": {"errors", "typing", "chromosomes", "counts"},
    "charts": FOUNDATION,
    "io": FOUNDATION,
    "datasets": FOUNDATION | {"core", "io"},
    "stages": FOUNDATION | {"core", "charts", "io"},
    "report": FOUNDATION | {"charts"},
    "run": FOUNDATION | {"stages", "charts", "io", "report", "datasets"},
    "export": FOUNDATION | {"core", "io", "run", "report", "charts"},
    "comparison": FOUNDATION | {"core", "run", "report"},
    "explorer": FOUNDATION | {"core", "run", "report", "charts"},
    "panels": FOUNDATION | {"comparison", "explorer", "run", "stages", "charts", "io", "report"},
    "api": FOUNDATION | {"stages", "run", "io", "datasets"},
    "cli": FOUNDATION | {"panels", "comparison", "export", "run", "stages", "io", "report", "datasets"},
    "stubs": {"api", "stages"},
    "__main__": {"cli"},
    "__init__": {"api", "stages", "version"},
}

STAGE_MODULES = ("params", "compute", "figures", "report", "stage")
"""Modules of a stage's package in the order in which they may import: each sees those before it."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


NAMES = {module_name(path) for path in MODULES}


def imports(path: Path, nodes: Iterator[ast.AST]) -> set[str]:
    """Modules of ours that the given nodes import; a name that is a module itself counts as that module."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *filter(None, [base])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in NAMES else base)
    return {item for item in found if item.split(".")[0] == "mira_nb" and item != name}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    """All imports count, also those inside functions and those for types only."""
    here = layer(module_name(path))
    assert here in MAY_IMPORT, f"{here} is not a part of the design"
    wrong = {item for item in imports(path, ast.walk(tree(path))) if layer(item) not in MAY_IMPORT[here] | {here}}
    assert not wrong


def test_no_circular_imports() -> None:
    """Imports inside functions and those for types only count: they hide a circle, they do not open it."""
    graph = {module_name(path): imports(path, ast.walk(tree(path))) for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


STAGE_PACKAGES = sorted({path.parent for path in (PACKAGE / "stages").glob("*/params.py")})


@pytest.mark.parametrize("package", STAGE_PACKAGES, ids=lambda path: path.name)
def test_arrows_inside_a_stage(package: Path) -> None:
    """params <- compute <- {figures, report} <- stage; figures and report do not compute, compute does not draw."""
    for position, name in enumerate(STAGE_MODULES):
        path = package / f"{name}.py"
        if not path.exists():
            assert name in {"figures", "stage"}, f"{package.name} has no {name}.py"
            continue
        later = {f"mira_nb.stages.{package.name}.{other}" for other in STAGE_MODULES[position + 1 :]}
        assert not imports(path, ast.walk(tree(path))) & later
        if name in {"params", "compute"}:
            assert not {item for item in imports(path, ast.walk(tree(path))) if layer(item) == "charts"}


@pytest.mark.parametrize("package", STAGE_PACKAGES, ids=lambda path: path.name)
def test_no_stage_imports_another(package: Path) -> None:
    """What two stages need stands in stages/shared, which imports no stage; of stages/ itself they see what all see."""
    others = {f"mira_nb.stages.{path.name}" for path in STAGE_PACKAGES} - {f"mira_nb.stages.{package.name}"}
    found = {
        f"{path.stem}: {item}"
        for folder in (package, PACKAGE / "stages" / "shared")
        for path in folder.rglob("*.py")
        for item in imports(path, ast.walk(tree(path)))
        if ".".join(item.split(".")[:3]) in others
    }
    assert len(others) >= 9
    assert not found


def test_core_has_no_loose_modules() -> None:
    assert {path.name for path in (PACKAGE / "core").glob("*.py")} == {"__init__.py", "motifs.py"}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_and_functions_are_short(path: Path) -> None:
    """Every line of a module counts; of a function, all but its docstring."""
    source = path.read_text(encoding="utf-8").splitlines()
    assert len(source) <= MAX_MODULE_LINES, f"{len(source)} lines"
    long = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) else None
            described = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - described
            if length > MAX_FUNCTION_LINES:
                long[node.name] = length
    assert not long


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether typer makes a command of a function: each of its parameters is an option of the command line."""
    return any(".command(" in ast.unparse(item) for item in node.decorator_list)


def many_parameters(module: ast.Module) -> dict[str, int]:
    """Functions with too many parameters, and how many; ``self`` and ``cls`` do not count, nor do commands."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_command(node):
            given = node.args
            names = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            if len(names) > MAX_PARAMETERS:
                found[node.name] = len(names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_functions_have_few_parameters(path: Path) -> None:
    """What belongs together is one dataclass. The stubs ``api.pyi``, made from parameters of stages, do not count."""
    assert not many_parameters(tree(path))


def test_many_parameters_are_seen() -> None:
    names = ", ".join(f"a{i}" for i in range(MAX_PARAMETERS))
    source = (
        f"def few(self, {names}): ...\ndef many({names}, *, b): ...\n@app.command()\ndef command({names}, b): ...\n"
    )
    assert many_parameters(ast.parse(source)) == {"many": MAX_PARAMETERS + 1}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_bare_assert(path: Path) -> None:
    """Assertions vanish under ``python -O`` and say nothing to the user."""
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


GLOBAL_RANDOM = {
    "torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all", "torch.use_deterministic_algorithms", "pyro.set_rng_seed", "pyro.util.set_rng_seed",
}  # fmt: skip
GENERATORS = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "Philox", "RandomState", "Random"}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_global_random_state(path: Path) -> None:
    """Random numbers come from generators that are passed on; a call never changes the user's own stream."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module in {"random", "numpy.random"} and not node.level:
            found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name not in GENERATORS]
        elif isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            plain = re.fullmatch(r"(?:(?:np|numpy)\.)?random\.(\w+)", text)
            if text in GLOBAL_RANDOM or (plain and plain.group(1) not in GENERATORS):
                found.append(f"{node.lineno}: {text}")
    assert not found


def test_every_part_knows_the_same_stages() -> None:
    """Templates, Python functions and the registry hold the same stages in the same order."""
    import mira_nb
    from mira_nb.stages.registry import stage_names

    assert stage_names()[: len(BUILT_IN)] == tuple(BUILT_IN)
    assert {path.stem for path in (ROOT / "templates").glob("*.ipynb")} == set(BUILT_IN)
    assert set(BUILT_IN) <= set(mira_nb.__all__)
    assert [name for name in mira_nb.__all__ if name in BUILT_IN] == list(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_stages_describe_themselves(name: str) -> None:
    from mira_nb.stages.registry import get_stage, upstream

    order = list(BUILT_IN)
    stage = get_stage(name)
    position = order.index(name)
    assert stage.name == name
    assert stage.title
    assert stage.purpose.endswith(".")
    assert stage.look.endswith(".")
    assert stage.tune.endswith(".")
    assert stage.writes or name == "comparisons"
    assert all(order.index(other) < position for other in (*stage.needs, *stage.uses))
    assert set(stage.needs) <= set(upstream(name)) <= set(order[:position])
    for item in stage.Params.describe():
        assert item.help, f"{name}.{item.name} has no help"
    assert stage.Params() == stage.Params.parse(name, stage.Params().model_dump(mode="json"))


def fresh_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import mira_nb", (*HEAVY, "numpy", "pandas", "anndata", "mudata", "pydantic")),
        ("import mira_nb.cli", (*HEAVY, "numpy", "pandas", "anndata", "mudata", "pydantic", "papermill")),
        ("from mira_nb.stages.registry import *; [get_stage(name) for name in stage_names()]", HEAVY),
    ],
    ids=["package", "command line", "stages"],
)
def test_heavy_libraries_are_imported_late(statement: str, unwanted: tuple[str, ...]) -> None:
    loaded = fresh_python(f"{statement}\nimport sys\nprint(*sys.modules)").split()
    assert not set(unwanted) & set(loaded)


def test_help_is_fast() -> None:
    """Half a second is the aim; the bound leaves room for a busy machine."""
    best = 1e9
    for _ in range(3):
        started = time.perf_counter()
        shown = subprocess.run(
            [sys.executable, "-m", "mira_nb", "--help"], check=True, capture_output=True, text=True
        ).stdout
        best = min(best, time.perf_counter() - started)
    assert all(command in shown for command in ("demo", "run", "check", "report", "dashboard"))
    assert best < 2
