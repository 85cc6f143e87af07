"""The golden record: every number of every table and every verdict, before and after a change.

    python tests/golden.py write RECORD.json [PROFILE ...]    # from packs, and $STUDY_STORE
    python tests/golden.py compare BEFORE.json AFTER.json     # exit code 1 where they differ

A record holds, for each profile and notebook, all text and table rows that `figures` put into the
executed copy, and the lines of `claims`. Published profiles are redrawn from an empty store, so
that their packs alone answer; `digits` has no pack and reads the store that $STUDY_STORE names.
"""

from __future__ import annotations

import difflib
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = tuple(sorted(p.name for p in (ROOT / "data" / "results").iterdir()))


def rows_of(markup: str) -> list[str]:
    """Turn HTML tables into one line a row, cells apart by bars; other markup goes."""
    lines = []
    for row in re.findall(r"<tr.*?</tr>", markup, re.S):
        cells = re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.S)
        lines.append(" | ".join(html.unescape(re.sub(r"<.*?>", "", c)).strip() for c in cells))
    return lines


def lines_of(notebook: Path) -> list[str]:
    """Return what an executed notebook shows, pictures apart, one item a line."""
    lines = []
    for cell in json.loads(notebook.read_text())["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                lines += rows_of("".join(data["text/html"]))
            elif "image/png" not in data:
                text = output.get("text") or data.get("text/plain") or output.get("evalue", "")
                lines += "".join(text).splitlines()
    return lines


def command(*arguments: str, **environment: str) -> str:
    """Run `python -m helpers` here; return its output, failing or not."""
    done = subprocess.run(
        [sys.executable, "-m", "helpers", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.stdout + (f"{done.stderr}\nexit code {done.returncode}" if done.returncode else "")


def record(profile: str) -> dict[str, list[str]]:
    """Redraw a profile and return its notebooks' outputs and its claims by name."""
    executed = ROOT / "notebooks" / "executed" / profile
    for old in executed.glob("*.ipynb"):
        old.unlink()
    with tempfile.TemporaryDirectory() as empty:
        store = {"STUDY_STORE": empty} if profile in PUBLISHED else {}
        told = command("figures", "--profile", profile, **store)
        found = {p.stem: lines_of(p) for p in sorted(executed.glob("*.ipynb"))}
        found["claims"] = command("claims", "--profile", profile, **store).splitlines()
    failed = [line for line in told.splitlines() if "failed" in line or "exit code" in line]
    return found | ({"failed": failed} if failed else {})


def main(arguments: list[str]) -> int:
    """Write a record, or compare two."""
    if arguments[:1] == ["write"] and len(arguments) > 1:
        profiles = arguments[2:] or ["digits", *PUBLISHED]
        found = {profile: record(profile) for profile in profiles}
        Path(arguments[1]).write_text(json.dumps(found, indent=1, ensure_ascii=False))
        return 0
    if arguments[:1] != ["compare"] or len(arguments) != 3:
        print(__doc__)
        return 2
    before, after = (json.loads(Path(path).read_text()) for path in arguments[1:])
    equal = True
    for profile, part in ((p, n) for p in after for n in {**before.get(p, {}), **after[p]}):
        old, new = before.get(profile, {}).get(part, []), after[profile].get(part, [])
        for line in difflib.unified_diff(old, new, f"{profile}/{part}", "", "", "", 0, ""):
            equal = False
            print(line)
    print("equal" if equal else "different")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
