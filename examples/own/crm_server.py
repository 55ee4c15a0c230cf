"""A small MCP server to begin with: customers in a file. `dojang` starts it by itself, as `mcp.toml` says.

Replace the two functions with calls of your own system. What a function does to the world is not said here, where the
server would say it of itself, but in `mcp.toml`, where the house says it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp.server.fastmcp import FastMCP

FILE = Path(__file__).with_name("customers.json")
app = FastMCP("crm", log_level="WARNING")


def _read() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text("utf-8")))


@app.tool()
def find_customer(name: str) -> dict[str, Any]:
    """Find a customer by name."""
    return {"name": name, **_read().get(name, {"known": False})}


@app.tool()
def give_voucher(customer: str, amount_krw: int, request_id: str) -> str:
    """Give a customer a voucher."""
    customers = _read()
    if customer not in customers:
        raise ValueError(f"there is no customer {customer}")
    vouchers = customers[customer]["vouchers"]
    if request_id not in vouchers:  # the same request again gives no second one: `once` in mcp.toml rests on this
        vouchers[request_id] = amount_krw
        FILE.write_text(json.dumps(customers, ensure_ascii=False, indent=2), "utf-8")
    return f"{customer} has a voucher of KRW {amount_krw:,}."


if __name__ == "__main__":
    app.run()
