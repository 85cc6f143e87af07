"""The README: its table of verdicts is computed, and the commands it names exist."""

import re

import pytest

from helpers import StudyError, readme
from helpers.__main__ import COMMANDS
from helpers.claims import ledger
from helpers.profiles import ROOT, Folders

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_counts_every_claim_of_every_document_once():
    rows = readme.verdict_table(["digits"]).splitlines()[2:]
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]
    assert [row[1] for row in cells] == list(ledger.DOCUMENTS)
    assert sum(int(row[2]) for row in cells) == 136
    for row in cells:
        assert sum(map(int, row[3:])) == int(row[2])


def test_refresh_replaces_only_what_stands_between_the_markers(tmp_path):
    for name in ("digits", "amazon-small"):  # the second judges no claim
        (tmp_path / "notebooks" / "published" / name).mkdir(parents=True)
    readme_path = tmp_path / "README.md"
    readme_path.write_text(f"above\n{readme.BEGIN}\nstale text\n{readme.END}\nbelow\n")
    readme.refresh(Folders(tmp_path))
    text = readme_path.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "stale text" not in text
    assert "| `digits` | `svp` |" in text
    assert "amazon-small" not in text


def test_refresh_without_markers_says_so(tmp_path):
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(StudyError, match="needs the lines"):
        readme.refresh(Folders(tmp_path))


def test_commands_and_targets_in_the_readme_exist():
    named = set(re.findall(r"python -m helpers (\w+)", TEXT))
    assert named
    assert named <= {*COMMANDS, "select"}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make (\w+)", TEXT, re.M)) <= targets


def test_pictures_and_links_of_the_readme_are_there():
    for path in re.findall(r"\]\(((?:figures|notebooks|data)/[^)#]+)\)", TEXT):
        assert (ROOT / path).exists(), path
