"""The short form of kill.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from kill import chaos


@pytest.mark.timeout(600)
def test_killed_again_and_again_it_gives_the_same_numbers(tmp_path: Path) -> None:
    tally = chaos(tmp_path, kills=3, seed=1)
    assert tally.kills == 3
    assert tally.finishes >= 1
