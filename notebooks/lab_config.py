"""JupyterLab as `make lab` starts it: the repository, its notebooks shown, git kept quiet."""

import shutil
import subprocess
from pathlib import Path

c = get_config()  # noqa: F821 - given by Jupyter
c.ServerApp.root_dir = "."
c.LabApp.default_url = "/lab/tree/notebooks"


def refresh(os_path, **_):
    """Tell git that a saved file is unchanged, where its filter finds only outputs to be new."""
    git = ["git", "-C", str(Path(os_path).parent)]
    if (
        shutil.which("git")
        and not subprocess.run([*git, "diff", "--quiet", "--", os_path]).returncode
    ):
        subprocess.run([*git, "add", "--update", "--", os_path])


c.FileContentsManager.post_save_hook = refresh
