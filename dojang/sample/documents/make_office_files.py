"""Makes the sample documents that no text editor writes: Word, CSV and PDF.

Run from the project's root: ``python dojang/sample/documents/make_office_files.py``. The results are committed; run it
again after changing a sentence or a room price.
"""

from __future__ import annotations

import csv
import tomllib
import zlib
from pathlib import Path

import docx

HERE = Path(__file__).parent
GROUPS = {
    "en": (
        "Group bookings",
        {
            "Price and deposit": [
                "Groups of 8 rooms or more get a discount of 10 percent.",
                "A deposit of 30 percent is due within 7 days after booking.",
                "One room is free of charge for the tour guide from 15 rooms on.",
            ],
            "Changes and names": [
                "Group bookings can be cancelled free of charge until 14 days before arrival.",
                "We need the list of guest names 5 days before arrival.",
            ],
            "Meeting room": [
                "The meeting room for 40 people costs 150,000 won for half a day.",
                "A projector is included in the price of the meeting room.",
            ],
        },
    ),
    "ko": (
        "단체 예약",
        {
            "요금과 보증금": [
                "객실 8개 이상을 예약하는 단체는 10퍼센트를 할인받습니다.",
                "단체 예약 보증금 30퍼센트는 예약 뒤 7일 안에 내야 합니다.",
                "객실 15개부터 인솔자 객실 하나를 무료로 드립니다.",
            ],
            "변경과 명단": [
                "단체 예약은 도착 14일 전까지 무료로 취소할 수 있습니다.",
                "단체 투숙객 명단은 도착 5일 전까지 보내 주셔야 합니다.",
            ],
            "회의실": [
                "40명이 들어가는 회의실은 반나절에 150,000원입니다.",
                "회의실 요금에는 프로젝터 사용료가 들어 있습니다.",
            ],
        },
    ),
}
SPA = [
    "Spa and pool",
    "The swimming pool is on the 4th floor of Haeundae Pearl.",
    "The pool is open from 7 a.m. to 9 p.m. every day.",
    "The pool is closed on the first Monday of each month.",
    "A swimming cap is required and can be rented for 3,000 won.",
    "Children under 13 years must be with an adult in the pool.",
    "The sauna costs 12,000 won per visit.",
    "A massage of 60 minutes costs 90,000 won.",
    "Towels are free of charge in the spa.",
]
COLUMNS = {
    "en": ["Hotel", "City", "Standard room per night", "Deluxe room per night", "Suite per night"],
    "ko": ["호텔", "도시", "스탠다드 1박 요금", "디럭스 1박 요금", "스위트 1박 요금"],
}


def make_word(language: str) -> None:
    """The group booking terms as a Word file with headings."""
    title, sections = GROUPS[language]
    document = docx.Document()
    document.core_properties.title = title
    document.add_heading(title, level=1)
    for heading, lines in sections.items():
        document.add_heading(heading, level=2)
        document.add_paragraph(" ".join(lines))
    document.save(str(HERE / language / "group-bookings.docx"))


def make_csv(language: str) -> None:
    """The directory of hotels with the room prices of the sample table."""
    hotels = tomllib.loads((HERE.parent / "hotels.toml").read_text(encoding="utf-8"))["hotel"]
    suffix, unit = ("", " won") if language == "en" else ("_ko", "원")
    with (HERE / language / "hotels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS[language])
        for hotel in hotels:
            prices = {room["type"]: f"{room['price_krw']:,}{unit}" for room in hotel["rooms"]}
            rooms = [prices.get(kind, "") for kind in ("standard", "deluxe", "suite")]
            writer.writerow([hotel[f"name{suffix}"], hotel[f"city{suffix}"], *rooms])


def make_pdf(lines: list[str], path: Path) -> None:
    """One page of plain lines in Helvetica: the smallest PDF that every reader takes (ISO 32000-1, section 7.5)."""
    shown = " T* ".join(f"({line}) Tj" for line in lines)
    stream = zlib.compress(f"BT /F1 12 Tf 16 TL 72 760 Td {shown} ET".encode("ascii"))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
        b"/Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        f"<< /Title ({lines[0]}) >>".encode("ascii"),
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    path.write_bytes(out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + trailer)


if __name__ == "__main__":
    for one in ("en", "ko"):
        make_word(one)
        make_csv(one)
    make_pdf(SPA, HERE / "en" / "spa-and-pool.pdf")
