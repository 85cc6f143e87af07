"""The repository's own promises: environment, clean notebooks, parameters, sizes."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from helpers import experiments, profiles, run, runner
from helpers.config import Config

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


def cells(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def parameters_cell(path):
    tagged = [c for c in cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, f"{path.name} needs exactly one cell tagged parameters"
    return tagged[0]


def test_conda_environment_only_points_at_pyproject():
    found = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert found == ["python>=3.11", "pip", {"pip": ["-e .[dev]"]}]


def test_notebooks_of_the_study_are_numbered():
    assert [path.stem for path in NOTEBOOKS if path.stem[:2] in experiments.ALL] == NAMES
    assert [name[:2] for name in NAMES] == list(experiments.ALL)


def test_notebooks_are_clean_and_their_cells_short():
    for path in NOTEBOOKS:
        for cell in cells(path):
            assert not cell.outputs
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= 40
        metadata = nbformat.read(path, as_version=4).metadata
        assert not {"papermill", "widgets"} & set(metadata)


def test_parameters_are_flat_literals_that_papermill_sees_with_the_defaults_of_config():
    for path in NOTEBOOKS:
        source = parameters_cell(path).source
        lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#")]
        assert all(line.count("=") == 1 for line in lines)
        declared = {name: default for name, (_, default) in profiles.declared(path).items()}
        assert len(declared) == len(lines)
        seen = papermill.inspect_notebook(runner.read(path))
        assert {name: ast.literal_eval(row["default"]) for name, row in seen.items()} == declared
        for name, value in declared.items():
            if name in Config.model_fields:
                assert Config(**{name: value}) == Config(), name


def test_git_sees_of_a_saved_notebook_what_is_committed():
    told = subprocess.run(["make", "-n", "-o", ".venv/.installed", "setup"], cwd=ROOT,
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    command = re.search(r"clean '\S+ (.*)'", told)[1]
    saved = nbformat.read(NOTEBOOKS[0], as_version=4)
    saved.metadata.language_info |= {"version": "3.9", "mimetype": "text/x-python"}
    for cell in (one for one in saved.cells if one.cell_type == "code"):
        cell |= {"execution_count": 7, "outputs": [nbformat.v4.new_output("stream", text="7")]}
    seen = subprocess.run([sys.executable, "-m", "nbstripout", *shlex.split(command)],
                          input=nbformat.writes(saved).encode(), capture_output=True)  # fmt: skip
    assert seen.stdout == NOTEBOOKS[0].read_bytes()
    asked = ["git", "check-attr", "filter", NOTEBOOKS[0], PUBLISHED[0]]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout
    assert re.findall(r"filter: (\w+)", told) == ["notebook", "unspecified"]


def test_profiles_set_only_what_notebooks_have():
    found = run.notebooks(profiles.Folders())
    for one in profiles.profiles(ROOT / "notebooks" / "profiles.yml").values():
        profiles.settings(found, one, {}, list(found))
        assert one.about


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
