"""The repository's own promises: environment, clean notebooks, parameters, sizes."""

import ast
import dataclasses
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from helpers import parameters, profiles

ROOT = Path(__file__).resolve().parents[1]
NAMES = [
    "01-proxy-training",
    "02-ranking-correlations",
    "03-lp-selection",
    "04-geda",
    "05-ids-adonis",
    "06-comparison-tables",
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
PUBLISHED = sorted((ROOT / "notebooks" / "published").glob("*/*.ipynb"))
MODULES = sorted((ROOT / "helpers").rglob("*.py"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def cells(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def parameters_cell(path):
    tagged = [c for c in cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, f"{path.name} needs exactly one cell tagged parameters"
    return tagged[0]


def test_conda_environment_only_points_at_pyproject():
    found = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert found == ["python>=3.11", "pip", {"pip": ["-e .[dev]"]}]


def test_six_notebooks_numbered():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@each_notebook
def test_notebook_is_clean(path):
    for cell in cells(path):
        assert not cell.outputs
        assert cell.execution_count is None
    metadata = nbformat.read(path, as_version=4).metadata
    assert not {"papermill", "widgets"} & set(metadata)


@each_notebook
def test_code_cells_are_short(path):
    longest = max(len(cell.source.splitlines()) for cell in cells(path))
    assert longest <= 40


@each_notebook
def test_parameters_are_flat_literals_that_papermill_sees(path):
    source = parameters_cell(path).source
    lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#")]
    assert all(line.count("=") == 1 for line in lines)
    assigned = [node.target.id for node in ast.parse(source).body]
    assert len(assigned) == len(lines)
    assert list(parameters.parameters_of(path)) == assigned


@each_notebook
def test_shared_parameters_have_the_defaults_of_scale(path):
    from helpers.experiments import Scale

    scale = dataclasses.asdict(Scale())
    for name, value in parameters.parameters_of(path).items():
        if name in scale:
            expected = scale[name]
            assert value == (list(expected) if isinstance(expected, tuple) else expected), name


@pytest.mark.parametrize("name", profiles.profiles(ROOT / "notebooks" / "profiles.yml"))
def test_profile_sets_only_what_notebooks_have(name):
    from helpers import run

    found = run.notebooks(profiles.Folders())
    run.settings(found, profiles.profile(name), {}, list(found))
    profiles.scale_for(name)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_published_sources_equal_the_clean_ones(path):
    def sources(of):
        return [
            (cell.cell_type, cell.source)
            for cell in nbformat.read(of, as_version=4).cells
            if "injected-parameters" not in cell.metadata.get("tags", [])
        ]

    assert sources(path) == sources(ROOT / "notebooks" / path.name)
    assert str(ROOT) not in path.read_text(encoding="utf-8")


def test_modules_and_functions_stay_readable():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 450, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node) is not None
                first = node.body[1 if documented and len(node.body) > 1 else 0]
                assert node.end_lineno - first.lineno < 40, (path, node.name)


def test_redrawing_never_imports_torch():
    allowed = {"device", "models", "probing", "training", "augmentation", "samplers", "steps",
               "compute"}  # fmt: skip
    for path in MODULES:
        if path.relative_to(ROOT / "helpers").parts[0].removesuffix(".py") in allowed:
            continue
        at_top = ast.parse(path.read_text(encoding="utf-8")).body
        names = {a.name for n in at_top if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module or "" for n in at_top if isinstance(n, ast.ImportFrom)}
        heavy = r"(torch|torchvision|papermill|pulp)(\.|$)"
        assert not any(re.match(heavy, name) for name in names), path
