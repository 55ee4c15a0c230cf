"""The pause of the garbage collector ends, whatever happens inside."""

from __future__ import annotations

import gc

import pytest

from checkpoints.values.bulk import bulk


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    with bulk():
        with pytest.raises(ValueError, match="inside"), bulk():
            raise ValueError("inside")
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with bulk():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
