"""What `make` does before anything is installed: an environment that is whole, or made anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

INSTALL = Path(__file__).parent.parent / "recsite" / "install.py"


def test_an_unusable_environment_is_made_anew_and_then_left_alone(tmp_path: Path) -> None:
    """A `.venv` with an interpreter that can't be used (cut short, removed, of another version), and an empty lock file."""
    for folder in ("recsite", "requirements", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(INSTALL, tmp_path / "recsite")
    (tmp_path / "requirements" / "run.txt").write_text("# nothing\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)

    def install() -> str:
        command = [sys.executable, "recsite/install.py", "run"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100).stdout

    said = install()
    assert said.startswith("Removing .venv")
    assert "Making the environment" in said
    version = subprocess.run([python, "-c", "import pip, sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    assert version.stdout.split() == [str(part) for part in sys.version_info[:2]]
    assert install() == "", "nothing is left to do"
    (tmp_path / "requirements" / "run.txt").write_text("# another lock\n")
    assert install().startswith("Installing"), "a changed lock is installed into the same environment"
