"""A few examples of the machine over threads, runs and reviews; ``make fuzz`` takes many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.dojang.server.fuzz.house import opened_house
from tests.dojang.server.fuzz.machine import House, Machine

EXAMPLES, STEPS = 5, 20


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("machine"), postgres_server) as found:
        yield found


def test_requests_in_any_order_do_what_a_small_model_says(house: House) -> None:
    class Here(Machine):
        pass

    Here.house = house
    few = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(20261126)(Here), settings=few)
