"""Threads, runs and reviews over HTTP against a small model of them: any order of requests, at every moment the same.

Nothing here happens by chance of time: the application has no worker of its own, a rule of the machine carries out the
next run in the thread of the test, and what is asked while a run is under way is asked from within its model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.dojang.server.fuzz.house import House
from tests.dojang.server.fuzz.known import (
    TEXTS,
    Kind,
    Place,
    Run,
    Thread,
    asking,
    decision_of,
    fitting,
    said_in,
    waiting,
)

KINDS = st.sampled_from(list(TEXTS))
STRATEGIES = st.sampled_from(["enqueue", "reject", "interrupt", "rollback"])
STATUSES = st.sampled_from([None, "idle", "busy", "interrupted", "error"])
LABELS = st.dictionaries(st.sampled_from(["colour", "size"]), st.sampled_from(["red", "blue", 1, None]), max_size=2)
NUMBERS = count()


class Machine(RuleBasedStateMachine):
    """Requests in any order. Subclasses give the ``house``."""

    house: House
    threads = Bundle("threads")

    @initialize(target=threads)
    def begin(self) -> Any:
        """One thread in which nothing was said, one that has answered, two that wait for somebody."""
        self.name = f"example-{next(NUMBERS)}"
        self.known: dict[str, Thread] = {}
        self.order: list[tuple[Thread, Run]] = []  # as accepted, over the threads
        self.booked = self.house.bookings()
        self.gone = 0  # effects of threads that were deleted since
        made = [self.made({}) for _ in range(4)]
        for thread, kind in zip(made[1:], ("question", "book", "book"), strict=True):
            run = self.accepted(thread, kind, asking(kind))  # type: ignore[arg-type]
            assert run is not None
            self.carry_out_now(thread, run)
        return multiple(*made)

    def teardown(self) -> None:
        if hasattr(self, "known"):
            for thread in self.known.values():
                self.house.http.post("/runs/cancel", json={"thread_id": thread.id})

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, *, wanted: int | tuple[int, ...] = 200) -> Any:
        """What is answered, with the status that the model says."""
        answer = self.house.http.request(method, path, json=body)
        expected = wanted if isinstance(wanted, tuple) else (wanted,)
        assert answer.status_code in expected, f"{method} {path} {body}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def state(self, thread: Thread) -> Any:
        return self.ask("GET", f"/threads/{thread.id}/state")

    # -- threads --------------------------------------------------------------------------------------------------

    @rule(target=threads, labels=LABELS)
    def create(self, labels: dict[str, Any]) -> Thread:
        thread = self.made(labels)
        self.ask("POST", "/threads", {"thread_id": thread.id}, wanted=409)
        self.ask("POST", "/threads", {"thread_id": thread.id, "if_exists": "do_nothing"})
        return thread

    def made(self, labels: dict[str, Any]) -> Thread:
        made = self.ask("POST", "/threads", {"metadata": {"of": self.name, **labels}})
        thread = Thread(made["thread_id"], labels)
        self.known[thread.id] = thread
        return thread

    @rule(thread=threads, labels=LABELS)
    def patch(self, thread: Thread, labels: dict[str, Any]) -> None:
        if thread.id not in self.known:
            return
        thread.labels |= labels
        told = self.ask("PATCH", f"/threads/{thread.id}", {"metadata": labels})
        self.same(thread, told)

    @rule(thread=threads)
    def look(self, thread: Thread) -> None:
        if thread.id not in self.known:
            return
        self.same(thread, self.ask("GET", f"/threads/{thread.id}"))
        if thread.status != "busy" and not thread.cut:
            state = self.state(thread)
            assert [review["id"] for review in waiting(state)] == ([thread.review["id"]] if thread.review else [])

    def same(self, thread: Thread, told: Any) -> None:
        wanted = {"of": self.name, **thread.labels}
        assert {key: told["metadata"].get(key) for key in wanted} == wanted
        assert told["status"] == thread.status
        assert said_in(told["values"] or {}) == thread.said

    @rule(
        labels=LABELS, status=st.sampled_from([None, "idle", "busy", "interrupted", "error"]), limit=st.integers(1, 9)
    )
    def search(self, labels: dict[str, Any], status: str | None, limit: int) -> None:
        asked = {"metadata": {"of": self.name, **labels}} | ({"status": status} if status else {})
        fitting = {
            thread.id
            for thread in self.known.values()
            if status in (None, thread.status) and all(thread.labels.get(k, self) == v for k, v in labels.items())
        }
        assert self.ask("POST", "/threads/count", asked) == len(fitting)
        found = [t["thread_id"] for t in self.ask("POST", "/threads/search", {**asked, "limit": limit})]
        assert len(found) == len(set(found)) == min(limit, len(fitting))
        assert set(found) <= fitting
        rest = self.ask("POST", "/threads/search", {**asked, "limit": 100, "offset": limit})
        assert {t["thread_id"] for t in rest} == fitting - set(found)

    @rule(thread=threads)
    def copy(self, thread: Thread) -> None:
        if thread.id not in self.known:
            return
        if thread.review is not None or thread.cut == "book":
            self.ask("POST", f"/threads/{thread.id}/copy", wanted=409)
            return
        made = self.ask("POST", f"/threads/{thread.id}/copy")
        assert said_in(made["values"] or {}) == thread.said
        assert made["thread_id"] not in self.known
        self.known[made["thread_id"]] = Thread(made["thread_id"], dict(thread.labels), list(thread.said))

    @rule(thread=threads)
    def delete(self, thread: Thread) -> None:
        if thread.id not in self.known:
            return
        held = bool(thread.queue or thread.cut) or thread.review is not None
        self.ask("DELETE", f"/threads/{thread.id}", wanted=409 if held else 204)
        if held:
            return
        del self.known[thread.id]
        self.gone += thread.effects
        self.ask("GET", f"/threads/{thread.id}", wanted=404)
        self.ask("POST", f"/threads/{thread.id}/runs", asking("question"), wanted=404)
        for run in thread.runs:
            self.ask("GET", f"/threads/{thread.id}/runs/{run.id}", wanted=404)

    # -- runs -----------------------------------------------------------------------------------------------------

    @rule(thread=threads, kind=KINDS, strategy=STRATEGIES)
    def send(self, thread: Thread, kind: Kind, strategy: str) -> None:
        if thread.id in self.known:
            self.accepted(thread, kind, {**asking(kind), "multitask_strategy": strategy})

    def accepted(self, thread: Thread, kind: Kind | None, body: dict[str, Any], *, refused: int = 0) -> Run | None:
        """Send a run; what the model says becomes of it and of the others."""
        strategy, queue = body.get("multitask_strategy", "enqueue"), thread.queue
        if strategy == "reject" and queue:
            refused = 409
        elif kind is not None and not queue and (thread.review is not None or thread.cut == "book"):
            refused = 409
        made = self.ask("POST", f"/threads/{thread.id}/runs", body, wanted=refused or 200)
        if refused:
            return None
        run = Run(made["run_id"], kind)
        if strategy in ("interrupt", "rollback"):
            for other in queue:
                if other.status == "pending":
                    other.status = "interrupted"
        thread.runs.append(run)
        self.order.append((thread, run))
        return run

    @rule(thread=threads)
    def go_on(self, thread: Thread) -> None:
        if thread.id in self.known:
            nothing = not thread.said and not thread.queue
            self.accepted(thread, None, {"assistant_id": "dojang", "input": None}, refused=400 if nothing else 0)

    def next(self) -> tuple[Thread, Run] | None:
        """The run that is next: the oldest that is the first of its thread."""
        return next(((t, r) for t, r in self.order if not r.over and t.queue[0] is r and t.id in self.known), None)

    @precondition(lambda self: self.next() is not None)
    @rule(
        meanwhile=st.sampled_from(
            ["nothing", "look", "cancel", "take back", "reject", "enqueue", "interrupt", "rollback", "delete", "copy"]
        ),
        kind=KINDS,
    )
    def carry_out(self, meanwhile: str, kind: Kind) -> None:
        thread, run = self.next() or (None, None)
        assert thread is not None
        assert run is not None
        if "which" in (run.kind, thread.cut) and meanwhile in ("cancel", "take back", "interrupt", "rollback"):
            meanwhile = "look"  # stopped between the question's being written and its being asked: not in the model yet
        row = self.house.work.rows.take()
        assert row is not None
        assert row.run_id == run.id
        run.status = "running"
        done: list[str] = []

        def interrupted() -> None:
            done.append(meanwhile)
            self.meanwhile(thread, run, meanwhile, kind)

        self.house.model.meanwhile = interrupted
        self.house.work.worker.run(row, self.house.work.channel(row))
        self.house.model.meanwhile = None
        self.became(thread, run, done[0] if done else "nothing")

    def meanwhile(self, thread: Thread, run: Run, what: str, kind: Kind) -> None:
        """What is asked while the model speaks in a run."""
        told = self.ask("GET", f"/threads/{thread.id}")
        assert told["status"] == "busy"
        assert self.ask("GET", f"/threads/{thread.id}/runs/{run.id}")["status"] == "running"
        self.ask("DELETE", f"/threads/{thread.id}/runs/{run.id}", wanted=409)
        if what == "cancel":
            self.ask("POST", f"/threads/{thread.id}/runs/{run.id}/cancel", wanted=202)
        elif what == "take back":
            self.ask("POST", f"/threads/{thread.id}/runs/{run.id}/cancel?action=rollback", wanted=202)
        elif what in ("reject", "enqueue", "interrupt", "rollback"):
            self.accepted(thread, kind, {**asking(kind), "multitask_strategy": what})
        elif what == "delete":
            self.ask("DELETE", f"/threads/{thread.id}", wanted=409)
        elif what == "copy":
            self.ask("POST", f"/threads/{thread.id}/copy", wanted=409)

    def became(self, thread: Thread, run: Run, meanwhile: str) -> None:
        """What the model says of a run that was carried out, against what the server says."""
        told = self.ask("GET", f"/threads/{thread.id}/runs/{run.id}")
        run.status = self.outcome(thread, run, meanwhile)
        assert told["status"] == run.status, (told, thread, meanwhile)
        state = self.state(thread)
        assert said_in(state["values"]) == thread.said, (thread, meanwhile)
        reviews = waiting(state)
        if thread.review is not None and not thread.review:
            assert len(reviews) == 1, (run, thread.said, thread.runs, meanwhile, state["next"])
            (thread.review,) = reviews
        assert [r["id"] for r in reviews] == ([thread.review["id"]] if thread.review is not None else [])
        if run.status == "success" and not thread.cut and thread.said:
            place = state["checkpoint"]["checkpoint_id"]
            thread.places.append(Place(place, list(thread.said), thread.lasting, state["values"].get("answer")))
        self.joined(thread, run, state)

    def outcome(self, thread: Thread, run: Run, meanwhile: str) -> str:
        kind: str | None = run.kind
        if kind is not None and (thread.review is not None or thread.cut == "book"):
            return "error"  # it was accepted while something else was under way
        if kind is not None:
            thread.said.append(TEXTS[run.kind])  # type: ignore[index]
            thread.cut = ""
        elif thread.review is not None and thread.recorded:
            return self.released(thread, meanwhile)
        elif thread.review is not None:
            return "interrupted"
        elif thread.cut:
            kind, thread.cut = thread.cut, ""
        elif not thread.said:
            return "error"  # nothing was ever asked there
        else:
            return "success"
        return self.turned(thread, kind or "", meanwhile, fresh=run.kind is not None)

    def turned(self, thread: Thread, kind: str, meanwhile: str, *, fresh: bool) -> str:
        """A turn of some kind, from its beginning or from where it was stopped."""
        stopped = meanwhile in ("cancel", "take back") or (
            meanwhile in ("interrupt", "rollback") and kind == "question"
        )
        if stopped:
            thread.cut = kind
            if meanwhile in ("take back", "rollback") and fresh:
                thread.cut = ""
                thread.said.pop()
            return "interrupted"
        if kind == "question":
            return "success"
        thread.review, thread.recorded, thread.claimed = {}, "", ""
        thread.lasting += 1
        return "interrupted"

    def released(self, thread: Thread, meanwhile: str) -> str:
        how, thread.recorded, thread.review, thread.claimed = thread.recorded, "", None, ""
        if how in ("approve", "edit"):
            thread.effects += 1
        elif how == "answer":
            thread.said.append("the first")
        if meanwhile in ("cancel", "take back", "interrupt", "rollback"):
            thread.cut = "question"
            return "interrupted"
        return "success"

    def joined(self, thread: Thread, run: Run, state: Any) -> None:
        """What somebody who comes afterwards is told."""
        values = self.ask("GET", f"/threads/{thread.id}/runs/{run.id}/join")
        if run.status == "error":
            assert values["__error__"]["message"]
        else:
            assert said_in(values) == said_in(state["values"])
        self.ask("POST", f"/threads/{thread.id}/runs/{run.id}/cancel", wanted=409)

    def some(self, data: st.DataObject, fits: Callable[[Thread], object]) -> Thread:
        """One of the threads of which something is so."""
        return data.draw(st.sampled_from([thread for thread in self.known.values() if fits(thread)]))

    @precondition(lambda self: any(thread.queue for thread in self.known.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        thread = self.some(data, lambda thread: thread.queue)
        run = data.draw(st.sampled_from(thread.queue))
        self.ask("POST", f"/threads/{thread.id}/runs/{run.id}/cancel", wanted=202)
        run.status = "interrupted"
        assert self.ask("GET", f"/threads/{thread.id}/runs/{run.id}")["status"] == "interrupted"

    @precondition(lambda self: any(thread.runs for thread in self.known.values()))
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        thread = self.some(data, lambda thread: thread.runs)
        run = data.draw(st.sampled_from(thread.runs))
        self.ask("DELETE", f"/threads/{thread.id}/runs/{run.id}", wanted=204 if run.over else 409)
        if run.over:
            thread.runs.remove(run)
            self.ask("GET", f"/threads/{thread.id}/runs/{run.id}", wanted=404)

    @rule(thread=threads, kind=KINDS)
    def wait(self, thread: Thread, kind: Kind) -> None:
        """A client that waits for its run, which is carried out beside it."""
        if thread.id not in self.known or self.next() is not None or thread.review is not None or thread.cut == "book":
            return
        answers: list[Any] = []
        body = asking(kind)
        waits = threading.Thread(
            target=lambda: answers.append(self.house.http.post(f"/threads/{thread.id}/runs/wait", json=body))
        )
        rung = self.house.work.bell.rung
        waits.start()
        while self.house.work.bell.rung == rung:
            assert waits.is_alive(), answers
            waits.join(0.001)
        (newest,) = self.ask("GET", f"/threads/{thread.id}/runs?limit=1")
        run = Run(newest["run_id"], kind)
        thread.runs.append(run)
        self.order.append((thread, run))
        self.carry_out_now(thread, run)
        waits.join(20)
        assert said_in(answers[0].json()) == thread.said

    def carry_out_now(self, thread: Thread, run: Run) -> None:
        row = self.house.work.rows.take()
        assert row is not None
        assert row.run_id == run.id
        self.house.work.worker.run(row, self.house.work.channel(row))
        self.became(thread, run, "nothing")

    # -- going back -----------------------------------------------------------------------------------------------

    @precondition(lambda self: any(thread.places for thread in self.known.values()))
    @rule(data=st.data())
    def at_a_checkpoint(self, data: st.DataObject) -> None:
        thread = self.some(data, lambda thread: thread.places)
        place = data.draw(st.sampled_from(thread.places))
        state = self.ask("GET", f"/threads/{thread.id}/state/{place.id}")
        assert (said_in(state["values"]), state["values"].get("answer")) == (place.said, place.answer)
        self.ask("GET", f"/threads/{thread.id}/state/nowhere", wanted=404)
        history = [s["checkpoint"]["checkpoint_id"] for s in self.ask("GET", f"/threads/{thread.id}/history?limit=999")]
        assert history == sorted(set(history), reverse=True)
        assert {one.id for one in thread.places} <= set(history)

    @precondition(lambda self: any(thread.places for thread in self.known.values()))
    @rule(data=st.data(), kind=KINDS)
    def fork(self, data: st.DataObject, kind: Kind) -> None:
        """Say something else at the end of an earlier turn."""
        thread = self.some(data, lambda thread: thread.places)
        place = data.draw(st.sampled_from(thread.places))
        newest = self.state(thread)["checkpoint"]["checkpoint_id"] == place.id
        held = bool(thread.queue) or thread.review is not None or thread.cut == "book" or place.lasting < thread.lasting
        body = {**asking(kind), "checkpoint_id": place.id}
        if self.accepted(thread, kind, body, refused=409 if held and not newest else 0) and not newest:
            thread.said, thread.cut = list(place.said), ""
        assert said_in(self.state(thread)["values"]) == thread.said

    # -- reviews --------------------------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.known))
    @rule(data=st.data(), how=st.sampled_from(["approve", "edit", "reject", "answer"]), any_thread=st.integers(0, 4))
    def resume(self, data: st.DataObject, how: str, any_thread: int) -> None:
        """Decide by a run, as LangGraph's clients do; every fifth time on any thread, else on one that waits."""
        waits = any_thread < 4 and any(thread.review is not None for thread in self.known.values())
        thread = self.some(data, lambda thread: thread.review is not None or not waits)
        fits = thread.review is not None and fitting(thread.review, how)
        said = decision_of(thread.review or {}, how)
        refused = 0
        if thread.review is None or thread.recorded:
            refused = 409
        elif not fits:
            refused = 400
        elif thread.claimed == "lee":
            refused = 409
        body = {"assistant_id": "dojang", "command": {"resume": said}}
        if self.accepted(thread, None, body, refused=refused):
            thread.recorded = how

    @precondition(lambda self: any(thread.review is not None for thread in self.known.values()))
    @rule(data=st.data(), how=st.sampled_from(["approve", "edit", "reject", "answer"]), stale=st.integers(0, 4))
    def decide(self, data: st.DataObject, how: str, stale: int) -> None:
        """Decide by the review's own route, which goes on with the thread at once; every fifth time a stale one."""
        thread = self.some(data, lambda thread: thread.review is not None)
        review = thread.review or {}
        said = {**decision_of(review, how), "digest": "0" * 64 if stale == 4 else review["digest"]}
        wanted = 200
        if thread.recorded:
            wanted = 200 if how == thread.recorded and stale < 4 else 409
        elif thread.claimed == "lee" or stale == 4:
            wanted = 409
        elif not fitting(review, how):
            wanted = 400
        either = (400, 409) if wanted >= 400 and not fitting(review, how) else wanted  # whichever is seen first
        self.ask("POST", f"/reviews/{review['id']}/decision", said, wanted=either)
        if wanted == 200:
            thread.recorded = thread.recorded or how
            self.released(thread, "nothing")
            self.ask("POST", f"/reviews/{review['id']}/undo", wanted=409)
            self.ask("POST", f"/reviews/{review['id']}/claim", wanted=409)
        state = self.state(thread)
        assert said_in(state["values"]) == thread.said
        assert [r["id"] for r in waiting(state)] == ([thread.review["id"]] if thread.review is not None else [])

    @precondition(lambda self: any(t.review is not None and not t.recorded for t in self.known.values()))
    @rule(data=st.data(), by=st.sampled_from(["kim", "lee"]), ends=st.booleans())
    def claim(self, data: st.DataObject, by: str, ends: bool) -> None:
        thread = self.some(data, lambda thread: thread.review is not None and not thread.recorded)
        review = (thread.review or {})["id"]
        if by == "lee":
            if thread.claimed in ("", "lee"):
                if ends:
                    self.house.workspace.give_back(review, by="lee")
                else:
                    self.house.workspace.claim(review, by="lee")
                thread.claimed = "" if ends else "lee"
            return
        if ends:
            self.ask("DELETE", f"/reviews/{review}/claim", wanted=409 if thread.claimed == "lee" else 204)
        else:
            self.ask("POST", f"/reviews/{review}/claim", wanted=409 if thread.claimed == "lee" else 200)
        if thread.claimed != "lee":
            thread.claimed = "" if ends else "kim"

    # -- at every moment ------------------------------------------------------------------------------------------

    @invariant()
    def every_approval_has_one_effect(self) -> None:
        if hasattr(self, "booked"):
            booked = self.house.bookings() - self.booked
            assert booked == sum(thread.effects for thread in self.known.values()) + self.gone


def tried(house: House, *, examples: int, steps: int, seed: int, shrink: bool = False) -> None:
    """So many examples of so many steps; raises with the steps of one that goes wrong."""

    class Here(Machine):
        pass

    Here.house = house
    how = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(Here), settings=how)
