"""Files that come with messages over HTTP: as blocks of LangGraph's clients, and in the console's form."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.server.guards import MAX_BODY
from dojang.workspace import Workspace
from tests.dojang.server.conftest import settled
from tests.dojang.test_attachments import image
from tests.store.pdfs import pdf_of

NOTE = pdf_of("The code of the safe is 4711.")
BODY = base64.b64encode(NOTE).decode()
FORMS: list[dict[str, Any]] = [
    {"type": "file", "source_type": "base64", "mime_type": "application/pdf", "data": BODY},
    {"type": "file", "base64": BODY, "mime_type": "application/pdf"},
    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{BODY}", "filename": "note.pdf"}},
]


def sent(program: TestClient, *blocks: Any) -> Any:
    said = {"role": "user", "content": [{"type": "text", "text": "What is the code of the safe?"}, *blocks]}
    thread = program.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "dojang", "input": {"messages": [said]}}
    return program.post(f"/threads/{thread}/runs/wait", json=body)


@pytest.mark.parametrize("block", FORMS, ids=["v0", "v1", "openai"])
def test_a_block_with_bytes_is_a_file(program: TestClient, block: dict[str, Any]) -> None:
    with program.app.state.work:  # type: ignore[attr-defined]
        named = block if "file" in block else {**block, "metadata": {"filename": "note.pdf"}}
        values = sent(program, named).json()
    [file] = values["messages"][0]["additional_kwargs"]["dojang_files"]
    assert (file["name"], file["type"], file["pages"]) == ("note.pdf", "application/pdf", 1)
    assert values["messages"][0]["content"] == "What is the code of the safe?"
    assert values["answer"]["text"] == "The code of the safe is 4711. [1]"
    assert BODY not in str(values)


def test_what_is_no_file_that_can_be_read_is_refused_before_there_is_a_run(program: TestClient) -> None:
    address = "data:image/png;base64," + base64.b64encode(image("PNG")).decode()
    picture = {"type": "image_url", "image_url": {"url": address}}
    elsewhere = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/secret.png"}}
    for block, why in (
        (picture, "DOJANG_MODEL_READS"),
        (elsewhere, "addresses are not fetched"),
        ({"type": "file", "data": "§§"}, "no base64"),
        ({"type": "audio", "data": BODY}, "only text, images and PDFs"),
    ):
        answer = sent(program, block)
        assert (answer.status_code, why in answer.text) == (400, True), answer.text


def test_a_message_may_be_larger_than_other_bodies_and_not_without_end(program: TestClient) -> None:
    wide = {"type": "file", "data": base64.b64encode(NOTE + b" " * MAX_BODY).decode()}
    assert "only" not in sent(program, wide, {"type": "file", "data": "§§"}).text  # it is read: the second is refused
    assert program.post("/reviews/bulk", content=b" " * (MAX_BODY + 1)).status_code == 413
    assert sent(program, {"type": "file", "data": "A" * 16 * MAX_BODY}).status_code == 413


def test_the_form_of_the_console_takes_files(client: TestClient, workspace: Workspace) -> None:
    said = {"text": "What is the code of the safe?"}
    files = [("files", ("note.pdf", NOTE, "application/pdf"))]
    answer = client.post("/threads", data=said, files=files)
    assert answer.status_code == 303, answer.text
    thread = answer.headers["location"].partition("#")[0]
    page = settled(client, thread)
    assert "4711" in page
    assert "with note.pdf" in page
    assert 'href="/passages/' not in page, "a file that came with a message is in no store: no page leads to it"
    assert page.count("with note.pdf") == 2  # under the question, and under the answer
    [file] = workspace.look(thread.rpartition("/")[2]).values["messages"][0].additional_kwargs["dojang_files"]
    assert file["name"] == "note.pdf"

    refused = client.post(f"{thread}/messages", data=said, files=[("files", ("a.png", image("PNG"), "image/png"))])
    assert refused.status_code == 400
    assert "DOJANG_MODEL_READS" in refused.text
    assert "What is the code of the safe?" in refused.text, "what was typed is still there"
    none = [("files", ("", b"", "application/octet-stream"))]
    assert client.post(f"{thread}/messages", data=said, files=none).status_code == 303
