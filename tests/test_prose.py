"""A result typed into prose goes stale unseen: numbers, ours and the documents, are computed."""

import json
import re

import pytest

from helpers.profiles import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GUIDES = [ROOT / "README.md", ROOT / "notebooks" / "README.md"]
# A number with the unit of a result: per cent, points, times, or seconds to a decimal.
RESULT = re.compile(r"(?<![\w.$-])\d+(?:[.,]\d+)*\s*(?:\\?%|points?\b|pp\b|x\b(?!\d)|times\b)")
# Shares, levels and margins that are defined, not measured.
DEFINED = {"95 %", "70 %", "500 points"}


def typed(text):
    """Return what looks like a result, outside code, formulas and what is computed."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", "", text, flags=re.DOTALL)
    return [" ".join(found.split()) for found in RESULT.findall(text)]


def prose(path):
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("path", [*NOTEBOOKS, *GUIDES], ids=lambda path: path.name)
def test_no_result_is_typed_into_prose(path):
    found = set(typed(prose(path))) - DEFINED
    assert not found, f"{path.name}: print it from results, or from data/papers by reference"


def test_what_looks_like_a_result_is_found():
    text = "It loses 0.4 points at 45 % of the rows, 1.6x as fast; `p=50 %` and $a = 3 x$ are code."
    assert typed(text) == ["0.4 points", "45 %", "1.6x"]
    assert typed("9.1 % <!-- verdicts -->\n| 5.2 % |\n<!-- /verdicts -->") == ["9.1 %"]
