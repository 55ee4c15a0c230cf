"""A model that speaks when its server ends: it is not heard to its end."""

from __future__ import annotations

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from dojang.server.work.worker import Silencer
from dojang.watching import Stopped


def test_a_model_is_stopped_at_its_next_word_or_before_its_first() -> None:
    ending, why = [False], list[str]()
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three"), AIMessage("four")]))
    silencer = Silencer(lambda: ending[0], why)
    words = model.stream("speak", config={"callbacks": [silencer]})
    assert next(words).text == "one"
    ending[0] = True
    with pytest.raises(Stopped):
        next(words)
    assert why == ["drain"]
    with pytest.raises(Stopped):
        model.invoke("speak", config={"callbacks": [silencer]})
    ending[0] = False
    assert model.invoke("speak", config={"callbacks": [silencer]}).text == "four"
