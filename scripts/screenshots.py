"""Pictures of the running program for the README: the sample hotel, the embedded model, the system's Chromium.

Run: ``make screenshots``. Both languages into ``docs/images/``: the inbox, a review in the dark, many at once, a
thread, a telephone. Each home is made anew and thrown away; every word in the pictures was said by the program.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from dojang.server.console.together import decided_together, sort_of
from dojang.settings import SAMPLE, Settings
from dojang.workspace import Workspace
from state import DojangError, Language, Review

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tests' own code drives the browser
IMAGES: Final = ROOT / "docs" / "images"
ASKED: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        "Please book a deluxe room at Namsan Stay for Emma Lee from December 3 to December 5 for 2 guests",
        "Please book a standard room at Haeundae Pearl for James Park from December 10 to December 12 for 2 guests",
        "Please book a deluxe room at Namsan Stay for Olivia Kim from December 14 to December 16 for 3 guests",
        "Please cancel booking BK-2031.",
        "Please refund 50000 won for booking BK-2031.",
        "Please refund 90000 won for booking BK-2032.",
    ),
    "ko": (
        "남산스테이 디럭스 객실을 김하나 이름으로 12월 3일부터 12월 5일까지 2명 예약해 주세요",
        "해운대펄 스탠다드 객실을 박서준 이름으로 12월 10일부터 12월 12일까지 2명 예약해 주세요",
        "남산스테이 디럭스 객실을 이민지 이름으로 12월 14일부터 12월 16일까지 3명 예약해 주세요",
        "예약 BK-2031을 취소해 주세요.",
        "예약 BK-2031에 50000원을 환불해 주세요.",
        "예약 BK-2032에 90000원을 환불해 주세요.",
    ),
}
QUESTION: Final[dict[Language, str]] = {"en": "When is breakfast served?", "ko": "체크인은 몇 시부터 가능한가요?"}
LOCALE: Final[dict[Language, str]] = {"en": "en-US", "ko": "ko-KR"}


def main() -> None:
    """Ask, pause, and take the pictures, in English and in Korean."""
    from tests.dojang.server.screens import chromium

    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser:
        for language in ASKED:
            with tempfile.TemporaryDirectory() as home:
                settings = Settings(home=Path(home), user="kim", language=language, _env_file=None)  # type: ignore[call-arg]
                with Workspace(settings) as workspace:
                    take(browser, workspace, language)


def take(browser: Any, workspace: Workspace, language: Language) -> None:
    """All pictures of one language."""
    from tests.dojang.server.screens import profile, running

    workspace.ingest([SAMPLE / "documents" / language])
    reviews = [review for text in ASKED[language] for review in asked(workspace, text)]
    thread = workspace.ask(QUESTION[language]).thread_id
    calls = [review for review in reviews if decided_together(review)]
    most, _ = Counter(map(sort_of, calls)).most_common(1)[0]
    alike = [review for review in calls if sort_of(review) == most]
    bulk = "/bulk?" + "&".join(f"id={review['id']}" for review in alike)
    item = f"/reviews/{calls[0]['id']}"
    complaints: list[str] = []
    with running(workspace) as site:
        base: dict[str, Any] = {"locale": LOCALE[language], "base_url": site, "device_scale_factor": 1}
        for name, path, more in (
            ("inbox", "/", {}),
            ("review-dark", item, {"color_scheme": "dark"}),
            ("bulk", bulk, {}),
            ("thread", f"/threads/{thread}", {}),
            ("phone", item, {"viewport": {"width": 390, "height": 780}}),
        ):
            with profile(browser, complaints, **{"viewport": {"width": 1180, "height": 720}, **base, **more}) as page:
                page.goto(path)
                page.screenshot(path=str(IMAGES / f"{name}.{language}.png"))
    if complaints:
        raise SystemExit("\n".join(complaints))


def asked(workspace: Workspace, text: str) -> list[Review]:
    """The reviews that a message opens; none where the model understood something else."""
    try:
        return workspace.ask(text).reviews
    except DojangError as error:
        print(f"{text}: {error}", file=sys.stderr)
        return []


if __name__ == "__main__":
    main()
