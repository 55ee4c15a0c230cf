"""A few examples of the machine over threads, runs and reviews; ``make fuzz`` takes many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dojang.server.fuzz.house import House, opened_house
from tests.dojang.server.fuzz.machine import tried


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("machine"), postgres_server) as found:
        yield found


def test_requests_in_any_order_do_what_a_small_model_says(house: House) -> None:
    tried(house, examples=5, steps=20, seed=20261126)
