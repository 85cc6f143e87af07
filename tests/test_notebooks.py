"""Every notebook, end to end, on the smoke profile; then once more from stored results."""

import tempfile

import pytest

from helpers import profiles
from helpers.__main__ import main

READY = list(profiles.Folders().notebooks.glob("[0-9][0-9]-*.ipynb"))


@pytest.mark.slow
@pytest.mark.skipif(not READY, reason="the notebooks are not written yet")
def test_smoke_study_runs_and_redraws_offline(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["study", "--profile", "smoke"]) == 0, capfd.readouterr().err
    written = next(tmp_path.glob("study-smoke-*"))
    assert len(list((written / "notebooks").iterdir())) == len(READY)
    drawn = {path.name for path in (written / "figures").iterdir()}
    assert {name[:2] for name in drawn} == {path.name[:2] for path in READY}
    assert main(["figures", "--profile", "smoke"]) == 0, capfd.readouterr().err
