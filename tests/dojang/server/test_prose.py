"""Markdown in what a model says: what is drawn of it, and that nothing else can be."""

from __future__ import annotations

import re
import time

import pytest

from dojang.server.console.desk import environment
from dojang.server.console.prose import prose_of
from tests.dojang.server.test_escaping import EVIL, Tags

DRAW = environment("en").from_string('{% from "frame/_prose.html" import prose with context %}{{ prose(pieces) }}')
DRAWN = {
    "p", "br", "b", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "div", "table", "thead",
    "tbody", "tr", "th", "td", "a",
}  # fmt: skip
ATTRIBUTES = {"href", "target", "rel", "class", "start", "tabindex", "role", "aria-label", "scope"}
HOSTILE = [
    EVIL,
    f"**{EVIL}** `{EVIL}`\n\n```\n{EVIL}\n```\n\n> {EVIL}\n\n- {EVIL}\n\n|{EVIL}|\n|-|\n|{EVIL}|",
    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](java&#10;script:alert(1)) [d](&#x6a;avascript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>) [b](vbscript:x) [c](file:///etc/passwd) [d](blob:x) [e](mailto:a@b)",
    "[a](//evil.example) [b](/reviews/rv_1/decision) [c](\\\\evil.example) [d](https:\\\\evil.example)",
    "[e](#now) [f](?lang=ko) [g](../go-on) [h]()",
    "[a](https://bank.example@evil.example) [b](https://evil.example\u202e) [c](https://\u0430pple.example)",
    '[a](https://ok.example "onmouseover=alert(1)") [b](https://ok.example/"onload="alert(1)) <https://ok.example/\'x>',
    "![x](https://evil.example/x.png) ![y][1] <img src=x onerror=alert(1)> <svg/onload=alert(1)>\n\n[1]: https://evil.example",
    "<div onclick=alert(1)>\n\n<script>\nalert(1)\n</script>\n\n<!-- -->\n\n<![CDATA[x]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#x202e;evil&#x2066; &#0; &#27;[31m \u200b",
    "[[1]](https://ok.example) [1] [2] [999] [1](https://evil.example)",
    "# <script>\n\n###### [x](javascript:1)\n\nTitle\n===\n\n***\n\n1. a\n99999999999. b",
    "a\u0000b\x1bc [x](https://ok.example/\x00) `\x1b`",
    "```<script>alert(1)</script>\nx\n```\n~~~js onclick=1\ny\n~~~",
]


def drawn(text: str) -> str:
    return DRAW.render(pieces=prose_of(text, {1: "/passages/p?start=0&end=4"}))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_but_what_the_template_has_is_drawn(text: str) -> None:
    html = drawn(text)
    tags = Tags()
    tags.feed(html)
    assert set(tags.tags) <= DRAWN
    assert set(tags.attributes) <= ATTRIBUTES
    for href in re.findall(r'href="([^"]*)"', html):
        assert href.startswith(("https://ok.example", "/passages/p?")) or re.match(
            "https://(evil|[a-z.]*xn--)", href
        ), href
        assert not href.startswith("//")
        assert "@" not in href
    for hidden in "\u202e\u2066\x00\x1b\u200b":
        assert hidden not in html
    for link in re.findall(r"<a [^>]*>", html):
        assert 'class="cite"' in link or 'rel="noopener noreferrer nofollow"' in link


def test_what_people_use_is_drawn() -> None:
    html = drawn(
        "**Late** check-out [1]:\n\n1. ask _first_\n2. pay `₩20,000`\n\n| day | price |\n|-|-|\n| Mon | 1 |\n\n~~no~~"
    )
    for part in (
        "<strong>Late</strong>",
        '<a class="cite" href="/passages/p?start=0&amp;end=4">[1]</a>',
        '<ol start="1"><li>ask <em>first</em></li><li>pay <code>₩20,000</code></li></ol>',
        '<th scope="col">day</th>',
        "<td>Mon</td>",
        "<s>no</s>",
    ):
        assert part in html
    assert drawn("one\ntwo") == "<p>one<br>two</p>"


def test_a_link_says_where_it_leads() -> None:
    assert ">your bank (evil.example)</a>" in drawn("[your bank](https://evil.example/login)")
    assert drawn("<https://ok.example/a>").count("ok.example") == 2  # the address is its own word
    assert ">(evil.example)<" in drawn("[](https://evil.example)").replace("> (", ">(")


@pytest.mark.parametrize(
    "text", ["> " * 60 + "deep", "- " * 60 + "deep", "[" * 4000 + "deep", "*a_ " * 3000 + "deep", "1. " * 50 + "deep"]
)
def test_what_is_too_deep_is_shown_as_it_is_and_in_time(text: str) -> None:
    begun = time.process_time()
    assert "deep" in drawn(text)
    assert time.process_time() - begun < 5
