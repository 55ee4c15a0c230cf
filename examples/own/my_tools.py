"""A tool as a Python function, where no server is needed: `DOJANG_TOOLS='["my_tools"]'`, this folder in PYTHONPATH."""

from __future__ import annotations

from typing import Any

from tools.effects import InWorld, effect


@effect(
    "irreversible",
    ko="고객에게 메모를 보냅니다.",
    will={"en": "Send {customer} the note “{text}”.", "ko": "{customer} 고객에게 메모를 보냅니다: “{text}”"},
    tells={
        "en": lambda result: [f"The note to {result['customer']} was sent."],
        "ko": lambda result: [f"{result['customer']} 고객에게 메모를 보냈습니다."],
    },
)
def send_note(customer: str, text: str, world: InWorld) -> dict[str, Any]:
    """Send a customer a note."""
    world.outbox.mkdir(parents=True, exist_ok=True)
    (world.outbox / f"{world.key}.txt").write_text(f"{customer}\n{text}\n", "utf-8")
    return {"customer": customer}
