"""The package from outside: its names, a light start, and interpreters that live beside a folder `encodings`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import pytest

import secateur
from secateur.checker import lowering
from secateur.network.operators import OPERATORS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = os.pathsep.join(str(ROOT / name) for name in ("engine", "encodings"))
HEAVY = ("numpy", "numba", "onnx", "onnxruntime", "pysmt", "rich", "z3", "cvc5")


def python(*arguments: str, path: str = SOURCES, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def modules_after(statement: str) -> list[str]:
    done = python("-c", f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_public_names_are_the_meant_ones() -> None:
    assert secateur.__all__ == [
        "Accepted", "Basis", "Box", "Decision", "Distance", "Domain", "Engine", "Exported", "Family", "FamilyResult", "Holds",
        "InputError", "Network", "NeuronStatus", "OutputBounds", "PhaseResult", "PruneResult", "Redundancy", "RedundancyClaim",
        "Refused", "Specification", "Status", "Unknown", "Violated", "__version__", "bounds",
        "check", "distance", "equivalent", "export",
        "outputs", "prune", "read_domain", "read_onnx", "redundancy", "robust", "slice_network", "verify", "warmup",
    ]  # fmt: skip
    assert set(secateur.__all__) <= set(dir(secateur))


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in secateur.__all__:
        value = getattr(secateur, name)
        assert isinstance(value, str) or value.__doc__, name


@pytest.mark.parametrize("first", ["secateur.verify", "__import__('secateur.bounds.chain')", "secateur.bounds", "None"])
def test_bounds_is_the_function_although_a_subpackage_has_its_name(first: str) -> None:
    program = f"import secateur; {first}; from secateur import bounds; from secateur.bounds import chain_form; import json"
    done = python("-c", f"{program}; print(secateur.bounds is bounds, bounds.__module__, chain_form.__module__)")
    assert done.stdout == "True secateur.oracle secateur.bounds.chain\n", done.stderr


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="module 'secateur' has no attribute 'prun'"):
        _ = secateur.prun  # type: ignore[attr-defined]


def test_version_is_the_installed_one() -> None:
    try:
        assert secateur.__version__ == metadata.version("secateur")
    except metadata.PackageNotFoundError:
        assert secateur.__version__ == "0+source"


@pytest.mark.parametrize(
    "statement",
    [
        "import secateur",
        "import secateur; dir(secateur)",
        "import secateur.cli",
        "from secateur import InputError",
        "try:\n    __import__('secateur.cli').cli.main(['--help'])\nexcept SystemExit:\n    pass",
    ],
)
def test_light_starts_import_nothing_heavy(statement: str) -> None:
    assert not set(HEAVY) & set(modules_after(statement))


def test_the_checker_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    blocker = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in HEAVY)
    program = blocker + "import runpy\nsys.argv = ['checker', '--help']\nrunpy.run_module('secateur.checker')"
    (tmp_path / "program.py").write_text(program)
    done = python(str(tmp_path / "program.py"))
    assert done.returncode == 0, done.stderr
    done = python("-c", blocker + "import secateur.checker; print(secateur.checker.check.__name__)")
    assert done.stdout == "check\n", done.stderr


@pytest.mark.parametrize("path", [".", "", os.pathsep, str(ROOT)])
def test_interpreter_starts_with_the_checkout_on_its_path(path: str) -> None:
    # A package `encodings` at the root would hide the standard library's, and kill every interpreter.
    done = python("-c", "import encodings; print(encodings.__name__, 'utf' in dir(encodings))", path=path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("encodings")


@pytest.mark.parametrize("module", ["secateur", "secateur.checker"])
def test_packages_can_be_run(module: str) -> None:
    done = python("-m", module, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: secateur")


def test_the_wheel_ships_what_is_needed() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["engine/secateur", "encodings/secateur_encodings"]
    for package in packages:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file()
    assert project["project"]["scripts"] == {"secateur": "secateur.cli:run"}


def test_readme_and_ci_run_the_same_test_command() -> None:
    readme, script = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    for command in ('-e ".[dev]"', "python -m pytest"):
        assert command in readme
        assert command in script
    assert '. .venv/bin/activate && pip install -e ".[dev]" && python -m pytest\n' in readme
    assert "\npython -m pytest\n" in script


def test_the_readme_shows_what_its_first_command_prints(tmp_path: Path) -> None:
    networks = ROOT / "benchmarks" / "networks"
    words = ["prune", networks / "wine.onnx", "--domain", networks / "wine.domain.json", "--out", "pruned"]
    done = python("-m", "secateur", *map(str, words), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme[readme.index("    wine.onnx -> pruned/reduced.onnx\n") :].split("\n\n")[0]
    # Versions differ, and how many boxes a proof takes may depend on how much time there was for its first attempt.
    printed, said = (re.sub(r" by z3 [0-9.]+|[0-9,]+ boxes", "", text) for text in (done.stdout.rstrip("\n"), dedent(shown)))
    assert printed == said


def test_the_readme_names_the_operators() -> None:
    limits = (ROOT / "README.md").read_text(encoding="utf-8").split("## Limits\n")[1].split("\n##")[0]
    certified, read = (part.split("certify nothing")[0] for part in limits.split("also read")[:2])
    names = set(re.findall(r"\b[A-Z]\w+", certified))
    assert set(lowering.OPERATORS) <= names
    assert names.isdisjoint(set(OPERATORS) - set(lowering.OPERATORS))
    assert set(re.findall(r"\b[A-Z]\w+", read)) == set(OPERATORS) - set(lowering.OPERATORS)


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    import shutil

    oracle, pruning = (part.split("```")[0] for part in (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1:])
    shutil.copytree(ROOT / "benchmarks" / "networks", tmp_path / "benchmarks" / "networks")
    done = python("-c", oracle, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"robust", "counterexample"}
    done = python("-c", pruning, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["N and N' agree exactly on D", "{'original': 72, 'reduced': 41}", "Status.BOTH"]
    assert lines[3].startswith("Verified: for all x in D, max |N(x) - N'(x)| = 0, where N = wine.onnx")
