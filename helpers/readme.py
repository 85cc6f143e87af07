"""The README's table of verdicts, computed from stored or published results."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from helpers import StudyError
from helpers.profiles import Folders, profile, scale_for

BEGIN, END = "<!-- verdicts -->", "<!-- /verdicts -->"


def verdict_table(names: list[str]) -> str:
    """Write how many claims of each document got which verdict, a profile a row.

    Args:
        names: Profiles, in the order of the rows.

    Returns:
        A Markdown table.
    """
    from helpers.claims import evidence, ledger, verdicts

    claims = ledger.load_ledger()
    head = ["profile", "document", "claims", *verdicts.VERDICTS]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    before = os.environ.get("STUDY_PROFILE")
    for name in names:
        os.environ["STUDY_PROFILE"] = name
        chosen = profile(name)
        rows = ledger.decide_all(claims, scale_for(chosen), chosen.scale, evidence.EVIDENCE)
        for document in dict.fromkeys(claim.document for claim in claims):
            given = Counter(r.answer.verdict for r in rows if r.claim.document == document)
            counts = [str(given[verdict]) for verdict in verdicts.VERDICTS]
            cells = [f"`{name}`", f"`{document}`", str(sum(given.values())), *counts]
            lines.append(" | ".join(["", *cells, ""]).strip())
    _restore(before)
    return "\n".join(lines)


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop("STUDY_PROFILE", None)
    else:
        os.environ["STUDY_PROFILE"] = before


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
    names = sorted(published, key=lambda name: (name != "digits", name))
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{verdict_table(names)}\n{END}{after}", encoding="utf-8")
    return path
