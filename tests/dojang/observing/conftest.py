"""One house that is observed in every way: its numbers, its spans at a collector, its log lines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from langchain_core.messages import AIMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dojang.observing.logs import logging_as
from dojang.observing.scrubbing import Scrubber
from dojang.server import create_app
from dojang.settings import secrets_of
from dojang.workspace import Workspace
from tests.dojang.observing.receivers import Received, receiver
from tests.dojang.server.conftest import BASE, open_workspace
from tests.dojang.workspaces import Rehearsed

PLANTED = {
    "model key": "key-GIRAFFE-model-22",
    "store key": "key-ZEBRA-store-333",
    "embedding key": "key-RHINO-embedding",
    "reranker key": "key-HIPPO-reranker",
    "passphrase": "a passphrase of OSTRICHES",
    "collector header": "otlp-BUFFALO-header",
}


class Counting(Rehearsed):
    """The model by rules; each reply has read seven tokens and written three. ``fails``: raised once instead."""

    fails: Exception | None = None

    def reply(self, messages: Any, **given: Any) -> Any:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        said = super().reply(messages, **given)
        message = cast(AIMessage, said["message"])
        message.usage_metadata = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        return said


@dataclass
class House:
    """What the tests look at."""

    workspace: Workspace
    client: TestClient
    model: Counting
    collector: Received
    written: io.StringIO
    planted: dict[str, str]

    def numbers(self) -> dict[tuple[str, ...], float]:
        """Name and label values of each sample, as Prometheus' own parser reads them."""
        answer = self.client.get("/metrics")
        assert answer.status_code == 200, answer.text
        families = text_string_to_metric_families(answer.text)
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of one trace, as they came to the collector."""
        tracing = self.workspace.parts.observer.tracing
        assert tracing is not None
        assert tracing.provider.force_flush()
        return [span for span in self.collector.spans() if span.trace_id.hex() == trace_id]

    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.written.getvalue().splitlines()]

    def run(self, thread_id: str, text: str, **headers: str) -> Any:
        """Ask over the SDK's routes, and wait; the answer."""
        body = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": text}]}}
        return self.client.post(f"/threads/{thread_id}/runs/wait", json=body, headers=headers)

    def thread(self) -> str:
        """A new thread."""
        return str(self.client.post("/threads", json={}).json()["thread_id"])


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[House]:
    model, written = Counting(), io.StringIO()
    passfile = Path(str(conninfo_to_dict(postgres_server)["passfile"]))
    password = passfile.read_text().strip().rpartition(":")[2]
    with pytest.MonkeyPatch.context() as patch, receiver() as collector:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-key={PLANTED['collector header']}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # sent when the test says so
        with open_workspace(
            tmp_path_factory.mktemp("observed"),
            make_conninfo(postgres_server, password=password),
            generator=model,
            language="en",
            traces=True,
            workers=2,
            model_api_key=PLANTED["model key"],
            store_api_key=PLANTED["store key"],
            embedding_api_key=PLANTED["embedding key"],
            reranker_api_key=PLANTED["reranker key"],
            session_passphrase=PLANTED["passphrase"],
        ) as workspace:
            app = create_app(workspace)
            scrub = Scrubber(secrets_of(workspace.settings))
            client = TestClient(app, base_url=BASE, headers={"content-type": "application/json"})
            with logging_as("json", "debug", scrub, written), app.state.work:
                planted = {**PLANTED, "database password": password}
                yield House(workspace, client, model, collector, written, planted)
