"""The shift report: who decided what, how long they looked, and signs of tiredness.

Everybody sees their own figures; those who oversee see everybody's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from checkpoints.index import Listed
from checkpoints.wanted import Key, Wanted
from dojang.audited import Sought, found
from dojang.checks import Checked, how
from dojang.server.access.roles import OVERSEE
from dojang.server.console.charts import Chart, bars, curves
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.handing import handing
from dojang.shift import BUCKETS_S, LONG_STREAK, QUICK_S, TYPES, Person, Shift, said_of, shift_of
from dojang.vocabulary import KINDS, SAID
from state import person_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
HOURS: Final = {"8": 8, "24": 24, "168": 168, "720": 720}
MOST: Final = 5_000
"""Reviews that are looked at, newest first."""
PAGE: Final = 500
LATE: Final = timedelta(days=30)
"""How long before the stretch a review may have been opened that was decided within it."""
TONES: Final = {"approve": "good", "edit": "three", "reject": "bad", "answer": "two"}


@router.get("/shift")
def shift(desk: AtDesk, hours: Literal["8", "24", "168", "720"] = "24", person: str = "") -> Response:
    """The figures of the last hours, and what was handed over. ``person``: only this one's, for those who see all."""
    everybody = desk.caller is not None and desk.caller.may(OVERSEE)
    only = (person.strip()[:200] or None) if everybody else desk.workspace.user
    since = desk.now - timedelta(hours=HOURS[hours])
    listed = list(_listed(desk, since))
    checks = desk.workspace.parts.checks.among(one["review"]["thread_id"] for one in listed)
    said = said_of(listed, since, only, without=checks)
    rightly = [(one.by, one.result == "seen") for one in _checked(desk, listed, checks, since, only)]
    made = shift_of(said, _undone(desk, since), hourly=HOURS[hours] <= 24, checks=rightly)
    context: dict[str, Any] = {
        "hours": hours,
        "stretches": [("8", desk.say("8 hours")), ("24", desk.say("a day")), ("168", desk.say("a week")),
                      ("720", desk.say("30 days"))],
        "everybody": everybody,
        "only": only or "",
        "made": made,
        "total": len(said),
        "handing": handing(desk, since, everybody=everybody),
        "types": TYPES,
        "names": {kind: desk.say(SAID[kind]).unescape() for kind in TYPES},
        "overdue": _overdue(desk),
        "expired": _expired(listed, since),
        "capped": len(listed) >= MOST,
        "pictures": _pictures(desk, made),
        "stretch_names": _stretches(desk),
        "kinds": {kind: desk.say(name).unescape() for kind, name in KINDS.items()},
        "signs": {
            "streak": desk.say("%(n)s or more of the same decision in a row", n=LONG_STREAK).unescape(),
            "faster": desk.say("looked less than half as long at the end as at the beginning").unescape(),
            "quick_high": desk.say("approvals of a high tier in less than %(n)s s", n=f"{QUICK_S:g}").unescape(),
        },
    }  # fmt: skip
    return desk.page("shift/shift.html", section="shift", **context)


def _listed(desk: Desk, since: datetime) -> Iterator[Listed]:
    """Reviews that may have been decided since, newest first, at most MOST; nobody is shown them: they are counted."""
    index, after, seen = desk.workspace.parts.index, None, 0
    index.refresh()
    oldest = (since - LATE).isoformat()
    while seen < MOST:
        page = index.find(Wanted(status="any", sort="newest"), limit=PAGE, after=after)
        for one in page:
            if one["review"]["created_at"] < oldest:
                return
            yield one
        seen += len(page)
        if len(page) < PAGE:
            return
        after = _key(page[-1])


def _key(one: Listed) -> Key:
    return one["key"]


def _checked(
    desk: Desk, listed: Sequence[Listed], threads: Collection[str], since: datetime, only: str | None
) -> list[Checked]:
    """Seeded checks that people have decided since, for good."""
    found = []
    for one in listed:
        review, thread_id = one["review"], one["review"]["thread_id"]
        seeded = desk.workspace.parts.checks.of(thread_id) if thread_id in threads else None
        if seeded is None or "#" in review["subject"]:
            continue
        went = how(seeded, review, one["progress"])
        mine = only is None or person_of(went.by) == person_of(only)
        if went.by and went.final and mine and datetime.fromisoformat(went.at) >= since:
            found.append(went)
    return found


def _undone(desk: Desk, since: datetime) -> Counter[str]:
    """Decisions and votes taken back, by person: also where nobody has decided again since."""
    noted = found(desk.workspace.parts.audit, Sought(event="decision.undone", since=since))
    return Counter(person_of(record["actor"]) for record in noted)


def _overdue(desk: Desk) -> int:
    """Open reviews of everybody whose time is over."""
    now = desk.now.isoformat()
    return sum(desk.workspace.parts.index.count(Wanted(status="open", due_before=now)).values())


def _expired(listed: Sequence[Listed], since: datetime) -> int:
    return sum(
        one["progress"]["decision"] is not None
        and one["progress"]["decision"]["type"] == "expire"
        and datetime.fromisoformat(one["progress"]["decision"]["at"]) >= since
        for one in listed
    )


def _stretches(desk: Desk) -> list[str]:
    ends = [_span(desk, end) for end in BUCKETS_S]
    names = [desk.say("under %(end)s", end=ends[0]).unescape()]
    names += [f"{low} – {high}" for low, high in pairwise(ends)]
    return [*names, desk.say("%(end)s and more", end=ends[-1]).unescape()]


def _span(desk: Desk, seconds: int) -> str:
    words = desk.say("%(n)s s", n=seconds) if seconds < 60 else desk.say("%(n)s min", n=seconds // 60)
    return words.unescape()


def _pictures(desk: Desk, made: Shift) -> dict[str, Chart]:
    legend = [(TONES[kind], desk.say(SAID[kind]).unescape()) for kind in TYPES]

    def stacked(rows: Sequence[tuple[str, Counter[str]]], told: str) -> Chart:
        return bars([(name, [(TONES[k], counts[k]) for k in TYPES]) for name, counts in rows], told, legend)

    found: dict[str, Chart] = {}
    if made.persons:
        people: list[Person] = made.persons[:20]
        found["persons"] = stacked([(p.name, p.types) for p in people], desk.say("Decisions by person").unescape())
        tools = [(_kind(desk, name), counts) for name, counts in list(made.tools.items())[:20]]
        found["tools"] = stacked(tools, desk.say("Decisions by tool").unescape())
        found["dwells"] = stacked(
            list(zip(_stretches(desk), made.dwells, strict=True)), desk.say("How long was looked").unescape()
        )
    if len(made.rates) > 1:
        points = [(float(n), approved / total) for n, (_, approved, total) in enumerate(made.rates)]
        name = desk.say("share of approvals").unescape()
        found["rates"] = curves([("one", name, points)], desk.say("Share of approvals over time").unescape())
    return found


def _kind(desk: Desk, name: str) -> str:
    return desk.say(KINDS[name]).unescape() if name in KINDS else name
