"""The example of a matching loop runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "matching_loop.py"


def test_a_crash_is_played_and_replayed_to_the_same_state() -> None:
    command = [sys.executable, str(SCRIPT), "--bars", "12", "--replay"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "conserved: True" in said and "the same state: True" in said
    assert said.count(" trades ") == 12
