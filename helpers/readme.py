"""The README's table of verdicts, computed from stored or published results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from helpers import StudyError, overview
from helpers.profiles import Folders, profile, variables_set

BEGIN, END = "<!-- verdicts -->", "<!-- /verdicts -->"


def verdict_table(names: list[str]) -> str:
    """Write how many claims of each document got which verdict, a profile a row.

    Args:
        names: Profiles, in the order of the rows.

    Returns:
        A Markdown table.
    """
    from helpers.claims import ledger, verdicts

    head = ["profile", "document", "claims", *verdicts.VERDICTS]
    lines = [_line(head), "|" + "---|" * len(head)]
    for name in names:
        with variables_set({"STUDY_PROFILE": name}):
            rows = overview.decided(profile(name))
        for document in ledger.DOCUMENTS:
            given = Counter(r.answer.verdict for r in rows if r.claim.document == document)
            counts = [str(given[verdict]) for verdict in verdicts.VERDICTS]
            lines.append(_line([f"`{name}`", f"`{document}`", str(sum(given.values())), *counts]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def refresh(folders: Folders | None = None) -> Path:
    """Put the table of every published profile between the README's two markers.

    Raises:
        StudyError: If the README has no such markers.
    """
    folders = folders or Folders()
    path = folders.root / "README.md"
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise StudyError(f"{path} needs the lines {BEGIN} and {END}")
    published = [p.name for p in (folders.root / "notebooks" / "published").glob("*") if p.is_dir()]
    judging = [name for name in published if profile(name).scale != "none"]
    names = sorted(judging, key=lambda name: (name != "digits", name))
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{verdict_table(names)}\n{END}{after}", encoding="utf-8")
    return path
