"""A conversation in the terminal: asks, shows pauses in place, takes the decision, goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dojang.cli.cards import tell_card
from dojang.cli.deciding import wait_out
from dojang.cli.exits import Exit
from dojang.cli.forms import decision_form
from dojang.cli.invocation import checked_text
from dojang.cli.telling import run_document, tell_cut_off, tell_decision, tell_run
from dojang.cli.terminal import Terminal

if TYPE_CHECKING:
    from dojang.results import RunResult
    from dojang.workspace import Workspace


class Talk:
    """One sitting. The thread outlives it: a review left open is there tomorrow."""

    def __init__(self, terminal: Terminal, workspace: Workspace, thread_id: str | None) -> None:
        self.terminal = terminal
        self.workspace = workspace
        self.thread_id = thread_id
        self.turns: list[dict[str, Any]] = []  # what each message came to, for --json

    def hold(self) -> int:
        """Talk until the person ends it. PAUSED when a review waits at the end, else DONE."""
        waiting = False
        try:
            if self.thread_id is not None:
                waiting = not self._settled(self.workspace.resume(self.thread_id))
            while not waiting:
                text = self.terminal.ask("> ")
                if not text.strip():
                    break
                if not self.terminal.interactive and not self.terminal.as_json:
                    self.terminal.line(f"> {text}")  # nobody typed it: a kept transcript needs the questions, too
                waiting = not self._turn(text)
        except EOFError:
            pass
        except KeyboardInterrupt:
            self.terminal.note("")
        return self._end()

    def _turn(self, text: str) -> bool:
        """One message and all that follows from it; False when it is left waiting."""
        from state import UserError

        try:
            with self.terminal.running() as on_node:
                run = self.workspace.ask(
                    checked_text(text), thread_id=self.thread_id, on_node=on_node, on_start=self._started
                )
        except UserError as error:
            self.terminal.error(str(error))
            return True
        except BaseException:
            tell_cut_off(self.terminal, self.workspace, self.thread_id)
            raise
        self._say(run)
        return self._settled(run)

    def _settled(self, run: RunResult) -> bool:
        """Take decisions until nothing waits; False when the person leaves a review for later."""
        from state import UserError

        while run.status == "paused" and run.reviews:
            card = self.workspace.show(run.reviews[0]["id"])
            if not self.terminal.as_json:
                tell_card(self.terminal, self.workspace, card)
            said = decision_form(self.terminal, card.review)
            if said is None:
                return False
            try:
                with self.terminal.running() as on_node:
                    result = self.workspace.decide(card.review["id"], said, channel="cli", on_node=on_node)
                if "held_until" in result.decision and result.run.status == "paused":
                    result = wait_out(self.terminal, self.workspace, result)
            except UserError as error:
                self.terminal.error(str(error))
                run = self.workspace.thread(run.thread_id)
                continue
            if not self.terminal.as_json:
                tell_decision(self.terminal, self.workspace, result)
            if result.run.reviews and result.run.reviews[0]["id"] == card.review["id"]:
                return False  # a vote was counted: somebody else goes on
            run = result.run
        return run.status == "done"

    def _say(self, run: RunResult) -> None:
        if self.terminal.as_json:
            self.turns.append(run_document(self.workspace, run))
        elif run.status != "paused":
            tell_run(self.terminal, self.workspace, run)

    def _started(self, thread_id: str) -> None:
        self.thread_id = thread_id

    def _end(self) -> int:
        _ = self.terminal.gettext
        if self.thread_id is None:
            self.terminal.document({"thread_id": None, "status": "done", "conversation": [], "turns": []})
            return Exit.DONE
        run = self.workspace.thread(self.thread_id)
        if self.terminal.as_json:
            conversation = self.workspace.conversation(self.thread_id)
            document = {**run_document(self.workspace, run), "conversation": conversation, "turns": self.turns}
            self.terminal.document(document)
        text = _("conversation {thread} is kept; `dojang chat --thread {thread}` goes on")
        self.terminal.note(text.format(thread=self.thread_id))
        return Exit.PAUSED if run.status == "paused" else Exit.DONE
