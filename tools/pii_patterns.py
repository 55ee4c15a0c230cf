r"""What personal numbers look like in Korean and English text, and what they are told apart by. Finds nothing itself.

Patterns are bounded by digits, never by ``\b``: a Korean particle follows a number without a space, and to a regular
expression it is a letter like any other. Every pattern is linear: a recogniser that gave up would let the text pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_DAY = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_GAP = r"[-.) ]{0,3}"
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|80|50\d)"
_OFFICE = (
    r"(?:1522|1533|1544|1551|1555|1566|1577|1588|1599|1600|1604|1613|1660|1661|1666|1668|1670|1688|1800|1811|1833"
    r"|1855|1877|1899)"
)
_OLD_REGIONS = "서울|부산|경기|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산"

PATTERNS: dict[str, dict[str, str]] = {
    "KR_RRN": {
        "grouped": rf"(?<!\d)(?<!\d-){_DAY}(?: ?- ?| )[1-4]\d{{6}}(?!-?\d)",
        "bare": rf"(?<!\d)(?<!\d-){_DAY}[1-4]\d{{6}}(?!-?\d)",
    },
    "KR_FRN": {
        "grouped": rf"(?<!\d)(?<!\d-){_DAY}(?: ?- ?| )[5-8]\d{{6}}(?!-?\d)",
        "bare": rf"(?<!\d)(?<!\d-){_DAY}[5-8]\d{{6}}(?!-?\d)",
    },
    "KR_BRN": {
        "grouped": r"(?<!\d)(?<!\d-)\d{3}-\d{2}-\d{5}(?!-?\d)",
        "bare": r"(?<!\d)(?<!\d-)\d{10}(?!-?\d)",
    },
    "KR_PASSPORT": {
        "now": r"(?<![A-Za-z0-9])[MSROD]\d{3}[A-Z]\d{4}(?![A-Za-z0-9])",
        "before": r"(?<![A-Za-z0-9])[MSROD]\d{8}(?![A-Za-z0-9])",
    },
    "KR_DRIVER_LICENSE": {
        "grouped": r"(?<!\d)(?<!\d-)\d{2}[- ]\d{2}[- ]\d{6}[- ]\d{2}(?!-?\d)",
        "bare": r"(?<![A-Za-z0-9])(?<!\d-)\d{12}(?!-?\d)",
    },
    "OLD_LICENSE": {"old": rf"(?:{_OLD_REGIONS})[- ]?\d{{2}}-\d{{6}}-\d{{2}}(?!-?\d)"},
    "CREDIT_CARD": {
        "four": r"(?<![A-Za-z0-9])(?<!\d-)(?:[34569]\d{3}|2[2-7]\d{2})([-. ]{1,3})\d{4}\1\d{4}\1\d{1,7}(?!-?\d)",
        "amex": r"(?<!\d)(?<!\d-)3\d{3}([-. ])\d{6}\1\d{4,5}(?!-?\d)",
        "bare": (r"(?<![A-Za-z0-9])(?<!\d-)(?:(?:[3456]\d{3}|2[2-7]\d{2})\d{9,15}|9\d{15}|1\d{14}|2131\d{11})(?!-?\d)"),
        "short": r"(?<![A-Za-z0-9])(?<!\d-)[56]\d{11}(?!-?\d)",
    },
    "PHONE_NUMBER": {
        "mobile": rf"(?<!\d)(?<!\d-)\(?01[016789]{_GAP}\d{{3,4}}{_GAP}\d{{4}}(?!-?\d)",
        "abroad": rf"(?<![\d+])(?:\+|00)82{_GAP}\(?0?{_GAP}(?:1[016789]|{_AREA}){_GAP}\d{{3,4}}{_GAP}\d{{4}}(?!-?\d)",
        "code": rf"(?<!\d)(?<!\d-)82[- ]1[016789]{_GAP}\d{{3,4}}{_GAP}\d{{4}}(?!-?\d)",
        "landline": rf"(?<!\d)(?<!\d-)\(?0{_AREA}[-.) ]{{1,3}}\d{{3,4}}[-. ]{{1,3}}\d{{4}}(?!-?\d)",
        "office": rf"(?<!\d)(?<!\d-){_OFFICE}-\d{{4}}(?!-?\d)",
        "labelled": r"(?<![\d,.])\(?\d{2,15}\)?(?:[-. ]\(?\d{2,8}\)?){0,4}(?!-?\d)",
    },
    "EMAIL_ADDRESS": {
        "ascii": (
            r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+'&-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
            r"\.){1,8}(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59})(?![A-Za-z0-9@-])"
        ),
        "hangul": (
            r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}(?:한국|닷컴|닷넷|com|net|org|kr)(?![A-Za-z0-9@-])"
        ),
    },
    "BANK_ACCOUNT": {
        "grouped": r"(?<!\d)(?<!\d-)\d{2,6}(?:-\d{1,8}){1,3}(?!-?\d)",
        "spaced": r"(?<!\d)\d{3,6}(?: \d{2,6}){1,3}(?! ?\d)",
        "bare": r"(?<!\d)(?<!\d-)\d{10,16}(?!-?\d)",
    },
}
"""Entity type → name → pattern. ``OLD_LICENSE`` is a driving licence without a region's number."""

ORDER = re.compile(
    r"(?:주문|예약|접수|송장|운송장|영수증|승인|거래|상품|문의|order|booking|reservation|invoice|receipt|tracking|ticket"
    r"|ref(?:erence)?)\s*(?:번호|코드|id|no|number|nr|num)?\s*[.:#은는이가]?\s*#?\s*(?:[A-Z]{1,6}-)?$",
    re.IGNORECASE,
)
PHONE = re.compile(
    r"(?:전화|연락처|휴대\s?폰|휴대\s?전화|핸드폰|팩스|문자|phone|mobile|\btel|\bfax|\bcell|\bh\.?p|call\s+(?:me|us))"
    r"[^\d\n@]{0,16}$",
    re.IGNORECASE,
)
LETTERS_BEFORE = re.compile(r"[A-Za-z0-9]-?$")
BRN = re.compile(r"사업자|business\s+(?:registration|number)|\bbrn\b|tax\s+registration", re.IGNORECASE)
PASSPORT = re.compile(r"여권|passport", re.IGNORECASE)
CARD = re.compile(r"카드|\bcard|\bvisa|maestro|amex|master", re.IGNORECASE)
LICENCE = re.compile(r"면허|driv\w+.{0,3}\s+licen[cs]e", re.IGNORECASE)
RESIDENT = re.compile(r"주민|외국인\s?(?:등록)?번호|외국인등록|resident|registration|\brrn\b|\bfrn\b", re.IGNORECASE)
BANK = re.compile(
    r"계좌|통장|예금주|입금|송금|이체|은행|뱅크|농협|신협|수협|새마을|우체국|저축|신한|국민|하나|우리|기업|카뱅|토스"
    r"|\bbank|account\b|\bacct\b|\ba/c\b|\b(?:kb|nh|ibk|kdb|sc|imbank)\b|wire\s+to|transfer\s+to",
    re.IGNORECASE,
)
PLAIN_WORDS = re.compile(r"신한|국민|하나|우리|기업|토스|저축|수협|\bsc\b", re.IGNORECASE)
"""Of ``BANK``: words that also mean something else, so they count only right before the number."""
MONEY_AFTER = re.compile(r"\s*(?:원|won\b|krw\b|만\s*원|천\s*원|명|박|점|건|개)", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_DOTTED_DATE = re.compile(r"(?:19|20)\d{2}([-. ]{1,2})\d{1,2}\1\d{1,2}")
_HOURS = re.compile(r"(?:1[0-9]|2[0-4])(?:00|30)-(?:1[0-9]|2[0-4])(?:00|30)")


@dataclass(frozen=True)
class Sighting:
    """What a recogniser matched in a normalised text."""

    type: str
    pattern: str
    text: str
    start: int
    end: int
    certain: bool
    """Whether a checksum confirmed it."""

    @property
    def value(self) -> str:
        """The matched characters."""
        return self.text[self.start : self.end]

    @property
    def digits(self) -> str:
        """Its digits alone."""
        return re.sub(r"\D", "", self.value)

    def before(self, reach: int = 40) -> str:
        """What stands before it."""
        return self.text[max(0, self.start - reach) : self.start]

    def near(self, words: re.Pattern[str], before: int = 40, after: int = 16) -> bool:
        """Whether one of the words stands close to it."""
        return bool(words.search(self.before(before)) or words.search(self.text[self.end : self.end + after]))

    def is_order(self) -> bool:
        """Whether it is introduced as the number of an order, a booking, an invoice."""
        return bool(ORDER.search(self.before()))


def _registration(seen: Sighting) -> bool:
    """The random endings since October 2020 have no checksum, so only an order's label speaks against digits alone."""
    return seen.pattern == "grouped" or seen.certain or seen.near(RESIDENT) or not seen.is_order()


def _business(seen: Sighting) -> bool:
    return seen.certain and (seen.near(BRN) or (seen.pattern == "grouped" and not seen.is_order()))


def _passport(seen: Sighting) -> bool:
    if seen.pattern == "now" or seen.near(PASSPORT):
        return True
    return not seen.is_order() and not _DATE.match(seen.value[1:])


def _licence(seen: Sighting) -> bool:
    return seen.pattern != "bare" or seen.near(LICENCE)


def _card(seen: Sighting) -> bool:
    """The Luhn sum holds for every tenth number, so twelve digits need the word beside them."""
    if not seen.certain or not 12 <= len(seen.digits) <= 19:
        return False
    if seen.near(CARD):
        return True
    plain_card = len(seen.digits) == 16 and seen.digits[0] in "245"
    return seen.pattern != "short" and (seen.pattern != "bare" or plain_card or not seen.is_order())


def _phone(seen: Sighting) -> bool:
    named = bool(PHONE.search(seen.before(24)))
    if seen.pattern == "labelled":
        shape = 7 <= len(seen.digits) <= 15 and not _DOTTED_DATE.match(seen.value) and not _HOURS.fullmatch(seen.value)
        return named and shape and not MONEY_AFTER.match(seen.text[seen.end :])
    if named:
        return True
    if MONEY_AFTER.match(seen.text[seen.end :]) or _HOURS.fullmatch(seen.value):
        return False
    return not seen.is_order() and not LETTERS_BEFORE.search(seen.before(2))


def _account(seen: Sighting) -> bool:
    if seen.pattern not in PATTERNS["BANK_ACCOUNT"]:
        return seen.certain  # an IBAN has a checksum
    if not 10 <= len(seen.digits) <= 16 or MONEY_AFTER.match(seen.text[seen.end :]):
        return False
    if seen.is_order() or LETTERS_BEFORE.search(seen.before(2)) or _DOTTED_DATE.fullmatch(seen.value):
        return False
    if any(not PLAIN_WORDS.fullmatch(found[0]) for found in BANK.finditer(seen.before())):
        return True
    if re.search(rf"(?:{PLAIN_WORDS.pattern})[\s:)]{{0,3}}$", seen.before(), re.IGNORECASE):
        return True
    after = seen.text[seen.end : seen.end + 16]
    return any(not PLAIN_WORDS.fullmatch(found[0]) for found in BANK.finditer(after))


CHECKS: dict[str, Callable[[Sighting], bool]] = {
    "KR_RRN": _registration,
    "KR_FRN": _registration,
    "KR_BRN": _business,
    "KR_PASSPORT": _passport,
    "KR_DRIVER_LICENSE": _licence,
    "CREDIT_CARD": _card,
    "PHONE_NUMBER": _phone,
    "BANK_ACCOUNT": _account,
}
"""Entity type → whether a match is one in its surroundings; types that are not listed are taken as matched."""
