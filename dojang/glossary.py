"""Words of records (audit, datasets, memory plans, versions) that both the commands and the pages show.

They are marked for the commands' catalogue (domain ``cli``), whoever shows them, as those of :mod:`dojang.gate_report`.
"""

from __future__ import annotations

from typing import Final

from dojang.vocabulary import N_

EVENTS: Final = {
    "review.opened": N_("review opened"),
    "review.shown": N_("review shown"),
    "decision.recorded": N_("decision recorded"),
    "decision.refused": N_("decision refused"),
    "run.released": N_("run released"),
    "vote.recorded": N_("vote recorded"),
    "decision.undone": N_("decision taken back"),
    "decision.released": N_("decision released"),
    "review.claimed": N_("review claimed"),
    "review.assigned": N_("review handed up"),
    "review.given_back": N_("review given back"),
    "review.handed_over": N_("review handed over"),
    "review.escalated": N_("half the time is over"),
    "call.passed": N_("call passed, and told"),
    "standing.allowed": N_("approved in advance"),
    "standing.used": N_("approval in advance used"),
    "standing.revoked": N_("approval in advance ended"),
    "content.erased": N_("content erased"),
    "inbox.listed": N_("inbox listed"),
    "effect.intended": N_("effect begun"),
    "effect.ended": N_("effect ended"),
    "policy.seen": N_("policy in force"),
    "thread.began": N_("chain begun"),
    "thread.anchored": N_("chain witnessed"),
    "thread.copied": N_("conversation copied"),
    "thread.deleted": N_("conversation deleted"),
    "state.changed": N_("state changed by hand"),
    "thread.exported": N_("conversation exported"),
    "chain.reopened": N_("chain begun anew"),
    "audit.exported": N_("audit exported"),
    "key.made": N_("key made"),
    "key.rotated": N_("key rotated"),
    "key.joined": N_("server joined with its key"),
    "document.uploaded": N_("document sent"),
    "document.deleted": N_("document taken out"),
    "token.made": N_("token made"),
    "token.revoked": N_("token revoked"),
    "person.named": N_("person named"),
    "session.began": N_("logged in"),
    "session.ended": N_("logged out"),
    "check.seeded": N_("check of attention put in"),
    "checks.changed": N_("checks of attention changed"),
    "shift.handed_over": N_("shift handed over"),
    "shift.taken_over": N_("shift taken over"),
    "runs.paused": N_("all runs paused"),
    "runs.resumed": N_("all runs go on"),
    "champion.rolled_back": N_("champion taken back"),
    "mcp.accepted": N_("tools of an MCP server accepted"),
    "mcp.withdrawn": N_("tools of an MCP server withdrawn"),
    "webhook.delivered": N_("webhook delivered"),
    "webhook.failed": N_("webhook given up"),
}
"""What a record of the audit chain is."""
LEVELS: Final = {"problem": N_("PROBLEM"), "note": N_("note")}
"""How bad a finding of its check is."""
REFUSALS: Final = {
    "somebody was first": N_("somebody was first"),
    "somebody has claimed it": N_("somebody has claimed it"),
    "StaleDecision": N_("the page was stale"),
    "Expired": N_("the deadline was over"),
    "NotEntitled": N_("this person may not decide it"),
}
"""Why a decision was refused."""
REASONS: Final = {
    "automatic": N_("nobody decided it"),
    "asked_by_a_rule": N_("a rule asked, not the model"),
    "bulk": N_("approved in bulk"),
    "commented": N_("a comment, no judgement"),
    "corrected": N_("the data were corrected, not the answer"),
    "disputed": N_("people disagreed, or took it back"),
    "erased": N_("words were erased"),
    "expired": N_("nobody decided in time"),
    "hash_differs": N_("the prompt of then cannot be shown: it is another one now"),
    "in_doubt": N_("about an effect in doubt"),
    "near_heldout": N_("nearly the same request is held out"),
    "no_prompt": N_("the prompt was not kept"),
    "no_review": N_("the review is gone from the checkpoints"),
    "not_rendered": N_("no base at hand can render the prompt of then"),
    "not_the_models": N_("the words were a person's"),
    "opted_out": N_("the conversation is kept out of training"),
    "self_approved": N_("approved by whoever asked"),
    "several_calls": N_("several calls in one turn"),
    "standing": N_("approved in advance"),
    "too_long": N_("too long"),
    "without_reviewer": N_("of a reviewer who is left out"),
    "unclear": N_("nobody can say what the question was about"),
}
"""Why a decision teaches nothing."""
WARNINGS: Final = {
    "few_decisions": N_("few decisions: too few to tell whether an adapter of them is better"),
    "one_sided": N_("all decisions say the same of what was proposed: sft can learn from them, kto and dpo cannot"),
    "one_reviewer": N_("one person decided everything: the adapter learns that person's judgement"),
}
"""What a dataset is weak in."""
SIGNS: Final = {
    "differs": N_("{who}: {about} on {tool} {own} of {own_all} times, everybody else {others} of {others_all} (p {p})"),
    "dominates": N_("{who} made {own} of all {own_all} edits"),
    "campaign": N_("{who}, who came at about the same time, all made the same edit of {tool}: {about} ({own} times)"),
}
"""In what reviewers differ."""
PARTS: Final = {
    "weights": N_("weights"), "adapter": N_("adapter"), "gradients": N_("gradients"), "optimizer": N_("optimizer"),
    "activations": N_("activations"), "logits": N_("logits"), "overhead": N_("overhead"),
}  # fmt: skip
"""What takes memory in training."""
FITS: Final = {"fits": N_("fits"), "tight": N_("is tight"), "no": N_("does not fit")}
"""Whether training fits a card."""
MOMENTS: Final = {"layer": N_("while a layer is recomputed"), "loss": N_("while the loss is computed")}
"""When memory is at its peak."""
COSTS: Final = {
    "fused_loss": N_("costs nothing"), "no_upcast": N_("costs nothing"), "nf4": N_("costs some precision"),
    "checkpointing": N_("costs time"), "paged": N_("costs some time"), "batch": N_("costs time"),
    "seq": N_("leaves longer rows out"), "rank": N_("the adapter can learn less"),
}  # fmt: skip
"""What a change that saves memory costs."""
ALIASES: Final = {"champion": N_("champion"), "candidate": N_("candidate"), "previous": N_("previous")}
"""What an adapter of the registry is."""
VERSIONS: Final = {
    "correct": N_("corrected"),
    "undo": N_("undone"),
    "carried": N_("carried over to the changed file"),
    "aside": N_("set aside: the file says something else"),
    "settled": N_("settled"),
}
"""What a record in the history of a passage is."""
