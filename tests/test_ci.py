"""What CI does before the tests: it gets a browser where it can, and never fails or waits for long."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci/chromium"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout")
NEEDED = ("bash", "env", "id", "mktemp", "rm", "tail", "timeout", "sleep")


def run_with(directory, **commands):
    """Run the script where nothing but NEEDED and `commands` (their text) is installed."""
    for name in NEEDED:
        (directory / name).symlink_to(shutil.which(name))
    commands["id"] = commands.get("id", "echo 0")
    for name, text in commands.items():
        (directory / name).unlink(missing_ok=True)
        (directory / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (directory / name).chmod(0o755)
    environment = {"PATH": str(directory), "LOG": str(directory / "log"), "CHROMIUM_TIMEOUT": "2",
                   "TMPDIR": os.environ.get("TMPDIR", "/tmp")}  # fmt: skip
    result = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0
    log = directory / "log"
    return result.stdout + result.stderr, log.read_text().splitlines() if log.exists() else []


NOTE = 'printf "%s\\n" "$*" >> $LOG'


def test_a_browser_that_is_there_is_left_alone(tmp_path):
    assert run_with(tmp_path, **{"google-chrome": "", "apt-get": NOTE}) == ("", [])


def test_one_is_installed_where_there_is_none(tmp_path):
    said, log = run_with(tmp_path, **{"apt-get": NOTE})
    assert said == "+ apt-get install chromium\n"
    assert log[0] == "-q update" and log[1].endswith("install --no-install-recommends chromium")


def test_who_is_not_root_asks_sudo(tmp_path):
    said, log = run_with(tmp_path, **{"id": "echo 1000", "sudo": f'{NOTE}; shift; "$@"', "apt-get": NOTE})
    assert log[0].startswith("-n timeout") and log[-1].endswith("chromium") and "could not" not in said


@pytest.mark.parametrize("commands", [{}, {"apt-get": "echo E: no network; exit 100"}, {"apt-get": "sleep 60"},
                                      {"id": "echo 1000", "apt-get": NOTE}],
                         ids=["no apt-get", "no network", "too slow", "no sudo"])  # fmt: skip
def test_what_goes_wrong_is_said_and_no_failure(tmp_path, commands):
    said, _ = run_with(tmp_path, **commands)
    assert "the tests in a browser will be skipped" in said
    assert "no network" not in commands.get("apt-get", "") or "E: no network" in said
