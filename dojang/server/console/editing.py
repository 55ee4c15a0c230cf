"""What somebody typed into the form of an edit, as typed arguments that the tool's schema has seen. Records nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dojang.server.console.forms import Field, fields_of, text_field, typed
from dojang.server.wording import Say
from nodes.gate import spec_of
from state import JSON, Review
from tools.toolbox import Toolbox


@dataclass(frozen=True)
class Edit:
    """What was typed. ``seen``: names exactly these arguments."""

    fields: list[Field]
    args: dict[str, JSON]
    problems: list[str]

    @property
    def seen(self) -> str:
        """Whoever has been shown these arguments sends this with them."""
        return hashlib.sha256(json.dumps(self.args, sort_keys=True).encode()).hexdigest()[:32]


def edit_of(toolbox: Toolbox, review: Review, form: Mapping[str, str], say: Say) -> Edit:
    """The whole new argument object, and what is wrong with it. ``toolbox``: of the review's thread."""
    tool, args = review["action"]["tool"], review["action"]["args"]
    spec = spec_of(toolbox, tool) if tool else None
    fields = fields_of(spec["parameters"] if spec else {}, args) if tool else text_field(args)
    new, problems = typed(fields, form, say)
    if not problems and tool:
        checked = toolbox.check(tool, new)
        problems = checked["problems"] + [
            say("%(name)s must not be empty", name=name).unescape() for name in checked["missing"]
        ]
        new = checked["args"]
    if not problems and new == args:
        problems = [say("nothing was changed: approve it, or change something").unescape()]
    return Edit(fields, new, problems)
