"""A front desk in a fresh database, and the day it is there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tools.toolbox import Toolbox

TODAY = date(2026, 11, 18)
SAMPLE = Path(__file__).parents[2] / "dojang" / "sample" / "hotels.toml"


@pytest.fixture
def desk(postgres_dsn: str, tmp_path: Path) -> Toolbox:
    return Toolbox.open(dsn=postgres_dsn, outbox=tmp_path / "outbox", today=lambda: TODAY, sample=SAMPLE)
