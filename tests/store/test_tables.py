"""Table rows are records: found by their columns' names, cited by their own characters, in every format."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
from docx.oxml import OxmlElement

from store.ingesting.chunking import chunk
from store.ingesting.ingest import index_terms
from store.readers.cells import shown
from store.readers.extract import Extract, structure_of, with_structure
from store.readers.files import read, read_bytes
from store.text.language import terms

FILES = Path(__file__).parent / "files"
ROWS = [["객실", "요금"], ["디럭스 온돌", "140,000원"], ["스위트. 조식 포함", "320,000원"]]
SAID = ["객실: 디럭스 온돌, 요금: 140,000원.", "객실: 스위트. 조식 포함, 요금: 320,000원."]


def records(extract: Extract) -> list[str]:
    return [extract.text[record.start : record.end] for record in extract.records]


def workbook(fill: Callable[[Any], object]) -> bytes:
    book = openpyxl.Workbook()
    fill(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def word_file(*, marked: bool) -> bytes:
    document = docx.Document()
    table = document.add_table(0, 2)
    for row in ROWS:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    if marked:
        table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def page(cell: str) -> bytes:
    head = "".join(f"<{cell}>{text}</{cell}>" for text in ROWS[0])
    body = "".join("<tr>" + "".join(f"<td>{text}</td>" for text in row) + "</tr>" for row in ROWS[1:])
    return f"<h1>요금</h1><table><tr>{head}</tr>{body}</table><p>끝.</p>".encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "\n".join(",".join(f'"{cell}"' for cell in row) for row in ROWS).encode("cp949")),
        ("a.tsv", "\n".join("\t".join(row) for row in ROWS).encode("utf-16")),
        ("a.html", page("th")),
        ("a.html", page("td")),
        ("a.docx", word_file(marked=True)),
        ("a.docx", word_file(marked=False)),
        ("a.xlsx", workbook(lambda book: [book.active.append(row) for row in ROWS])),
    ],
    ids=["csv", "tsv", "html-th", "html-td", "docx-header", "docx", "xlsx"],
)
def test_a_row_says_its_columns_and_is_one_passage(name: str, data: bytes) -> None:
    extract = read_bytes(name, data)
    assert records(extract) == SAID
    pieces = [piece for piece in chunk(extract) if extract.text[piece.start : piece.end] in SAID]
    assert [len(piece.sentences) for piece in pieces] == [1, 1]


def test_a_markdown_table_stays_as_it_is_and_its_title_names_the_columns() -> None:
    table = "| 객실 | 요금 |\n|:--|--:|\n| 디럭스 | 9만 원 |\n| 스위트 | 32만 원 |\n"
    text = f"# 요금\n\n앞의 글입니다.\n\n{table}\n뒤의 글입니다.\n"
    extract = read_bytes("a.md", text.encode())
    assert extract.text == text
    found = [(piece.title, text[piece.start : piece.end]) for piece in chunk(extract)]
    assert found == [
        ("요금", "앞의 글입니다."),
        ("요금 › 객실 | 요금", "| 디럭스 | 9만 원 |"),
        ("요금 › 객실 | 요금", "| 스위트 | 32만 원 |"),
        ("요금", "뒤의 글입니다."),
    ]
    assert set(terms("객실 요금 디럭스")) <= set(index_terms(*found[1]))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a | b\n--|--\n1 | 2\n", 1),
        ("| a |\n|---|\n| 1 |\n| 2 |", 2),
        ("Title\n-----\n\na | b is no table\n", 0),
        ("```\n| a | b |\n|---|---|\n| 1 | 2 |\n```\n", 0),
        ("| a | b |\n|---|---|\n", 0),
        ("| a | b |\n|---|---|\n| 1 | x \\| y |\n\n| c | d |\n|---|---|\n| 3 | 4 |\n", 2),
    ],
)
def test_what_is_a_markdown_table(text: str, count: int) -> None:
    extract = read_bytes("a.md", text.encode())
    assert len(extract.records) == count
    for record in extract.records:
        assert text[record.start : record.end].strip() == text[record.start : record.end] != ""


def test_ruled_tables_of_a_pdf_are_records_in_their_place() -> None:
    korean = read(FILES / "table-ko.pdf")
    assert records(korean) == [
        "객실: 스탠다드, 요금: 90,000원, 정원: 2명.",
        "객실: 디럭스, 요금: 140,000원, 정원: 3명.",
        "객실: 스위트 (남산 전망, 조식 포함), 요금: 320,000원, 정원: 4명.",
    ]
    assert korean.text.startswith("이용 안내\n조식은 7시부터 10시까지 제공됩니다. 조식은")
    assert korean.text.endswith("정원: 4명.\n\n표 다음의 글입니다.")
    english = read(FILES / "table-en.pdf")
    assert "Room: Suite (with a view of the mountain, breakfast included), Price: 320,000 won, Sleeps: 4." in records(
        english
    )


def drawn(*words: tuple[float, float, str]) -> bytes:
    """A PDF of one page with these words at these places, in Helvetica of 12 points."""
    stream = " ".join(f"BT /F1 12 Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET" for x, y, text in words).encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body = b"".join(b"%d 0 obj%sendobj\n" % pair for pair in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer<</Size 6/Root 1 0 R>>\n%%EOF"


def columns(rows: Sequence[tuple[str, ...]], xs: tuple[float, ...] = (72, 240, 360), top: float = 700) -> bytes:
    """Such a PDF, a row every 20 points."""
    return drawn(
        *((x, top - 20 * n, text) for n, row in enumerate(rows) for x, text in zip(xs, row, strict=False) if text)
    )


PRICES = [("Room", "Price", "Sleeps"), ("Standard double", "90,000", "2"), ("Deluxe", "140,000", "3")]
PRICES += [("Suite with a view", "1,320,000", "4")]


def test_a_table_of_a_pdf_without_lines_is_records_too() -> None:
    said = [("Prices are for one night.",), *PRICES, ("Breakfast is not included.",)]
    extract = read_bytes("a.pdf", columns(said))
    assert records(extract) == [
        "Room: Standard double, Price: 90,000, Sleeps: 2.",
        "Room: Deluxe, Price: 140,000, Sleeps: 3.",
        "Room: Suite with a view, Price: 1,320,000, Sleeps: 4.",
    ]
    assert extract.text.startswith("Prices are for one night.\n\nRoom: Standard double")
    assert extract.text.endswith("\n\nBreakfast is not included.")
    unnamed = read_bytes("a.pdf", columns(PRICES[1:]))
    assert records(unnamed)[0] == "Standard double | 90,000 | 2"


@pytest.mark.parametrize(
    "rows",
    [
        PRICES[:3],
        [("Name:", "Kim"), ("City:", "Seoul"), ("Street:", "Main Street 7"), ("Telephone:", "none")],
        [("1.", "Pay 5,000 won"), ("2.", "Take the key"), ("3.", "Leave at 11"), ("4.", "Come again")],
        [("The left column says 7", "The right one says 8"), ("and goes on with 9", "and goes on with 10")] * 3,
        [*PRICES[:2], ("Deluxe", "", "3"), *PRICES[3:]],
        [("x", "90,000"), ("a very long text in narrow room", "140,000"), ("y", "7")],
        [(("it is " * 7).strip(), "90,000"), ("b", "140,000"), ("y", "7")],
    ],
    ids=["two rows", "a form", "a list", "columns of text", "a gap in a row", "cells that touch", "a sentence"],
)
def test_what_may_be_no_table_stays_text(rows: list[tuple[str, ...]]) -> None:
    extract = read_bytes("a.pdf", columns(rows))
    assert extract.records == ()
    assert all(word in extract.text.split() for row in rows for cell in row for word in cell.split())


def test_cells_that_stand_now_here_now_there_are_no_columns() -> None:
    places = [(120, 200), (260, 340), (120, 200), (260, 340)]
    words = [(x, 700.0 - 20 * n, text) for n, row in enumerate(places) for x, text in zip(row, "a7", strict=True)]
    assert read_bytes("a.pdf", drawn(*words)).records == ()


def test_columns_of_a_pdf_are_read_one_after_the_other_and_pages_are_known() -> None:
    extract = read(FILES / "columns.pdf")
    numbers = [int(word) for word in extract.text.split() if word.isdigit()]
    assert numbers == list(range(60))
    pieces = chunk(extract)
    assert {piece.page for piece in pieces} == {1, 2}
    second = next(piece for piece in pieces if piece.page == 2)
    assert second.start == extract.pages[1]


def test_spanned_cells_of_a_page() -> None:
    rows = (
        "<tr><th>지점<th>객실<th>요금</tr><tr><td rowspan=2>남산<td>온돌<td>9만 원</tr>"
        "<tr><td>침대<td>8만 원</tr><tr><td colspan='2'>부산 전체<td>7만 원</tr><tr><td colspan=99999999>끝</tr>"
    )
    assert records(read_bytes("a.html", f"<table>{rows}</table>".encode()))[:3] == [
        "지점: 남산, 객실: 온돌, 요금: 9만 원.",
        "지점: 남산, 객실: 침대, 요금: 8만 원.",
        "지점: 부산 전체, 요금: 7만 원.",
    ]


COMPANY = """<h1>온결화장품 고객센터</h1>
<table><tr><th>상호</th><td>㈜온결화장품</td></tr><tr><th>대표</th><td>박서연</td></tr>
<tr><th>사업자등록번호</th><td>123-45-67890</td></tr><tr><th>주소</th><td>서울</td><td>부산</td></tr></table>
<h2>적립금</h2>
<dl><dt>적립금 유효기간:</dt><dd>적립한 날부터 <b>1년</b>입니다.</dd>
<dt>제외 상품</dt><dt>제외 품목</dt><dd>상품권</dd><dd>할인 상품</dd>
<dt>적립금은 언제 사라지나요?</dt><dd><p>매월 말일입니다.</p><p>문자로 알립니다.</p></dd></dl>
<p>더 궁금한 점은 1:1 문의에 남겨 주세요.</p>"""


def test_a_page_of_facts_says_each_name_with_its_own_value_and_each_term_with_what_it_means() -> None:
    extract = read_bytes("온결.html", COMPANY.encode())
    assert records(extract) == [
        "상호: ㈜온결화장품.",
        "대표: 박서연.",
        "사업자등록번호: 123-45-67890.",
        "주소: 서울, 부산.",
        "적립금 유효기간: 적립한 날부터 1년입니다.",
        "제외 상품, 제외 품목: 상품권, 할인 상품.",
        "적립금은 언제 사라지나요? 매월 말일입니다. 문자로 알립니다.",
    ]
    found = {extract.text[piece.start : piece.end]: piece for piece in chunk(extract)}
    assert [len(found[record].sentences) for record in records(extract)] == [1] * 7
    assert "적립금 유효기간" not in found
    assert "더 궁금한 점은 1:1 문의에 남겨 주세요." in found


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("<tr><th>상호<td>온결<th>대표<td>박서연</tr>", ["상호: 온결, 대표: 박서연."]),
        (
            "<tr><th colspan=2>회사 정보</tr><tr><th rowspan=2>전화<td>02</tr><tr><td>03</tr>",
            ["회사 정보", "전화: 02.", "전화: 03."],
        ),
        ("<tr><th>팩스<td></tr><tr><th>상호:<td>온결</tr>", ["팩스", "상호: 온결."]),
        ("<tr><th><th>요금</tr><tr><th>온돌<td>9만 원</tr>", ["온돌, 요금: 9만 원."]),
        ("<thead><tr><th>객실<td>요금</thead><tr><th>온돌<td>9만 원</tr>", ["객실: 온돌, 요금: 9만 원."]),
    ],
    ids=["two-a-row", "titled-and-spanned", "empty", "names-of-columns", "thead"],
)
def test_rows_that_name_their_own_values_are_told_from_rows_under_names_of_columns(rows: str, said: list[str]) -> None:
    assert records(read_bytes("a.html", f"<table>{rows}</table>".encode())) == said


def test_a_term_with_a_table_a_heading_or_a_list_of_terms_in_it_stays_a_part_of_the_page() -> None:
    inside = "<dt>표<dd>요금표<table><tr><td>온돌<td>9만 원</table></dd><dt><h2>주차</h2><dd>무료입니다.</dd>"
    nested = "<dt>객실<dd><dl><dt>온돌<dd>2인실</dl></dd><dt>홀로"
    extract = read_bytes("a.html", f"<dl>{inside}{nested}</dl>".encode())
    assert records(extract) == ["온돌 | 9만 원", "온돌: 2인실."]
    assert [extract.text[h.start : h.end] for h in extract.headings] == ["주차"]
    assert extract.text.split("\n\n") == [
        "표", "요금표", "온돌 | 9만 원", "주차", "무료입니다.", "객실", "온돌: 2인실.", "홀로",
    ]  # fmt: skip


def test_a_table_that_lays_out_a_page_is_prose() -> None:
    layout = "<table><tr><td><h2>주차</h2><p>주차는 무료입니다. 야간에도요.</p></td><td>그림</td></tr></table>"
    extract = read_bytes("a.html", layout.encode())
    assert extract.records == ()
    assert [extract.text[h.start : h.end] for h in extract.headings] == ["주차"]


def test_sheets_are_sections_and_values_are_as_a_person_sees_them() -> None:
    def fill(book: Any) -> None:
        book.active.title = "2026 요금"
        for row in (
            ["남산스테이 요금표"],
            [],
            ["객실", "요금", "할인", "시작", "체크인", "비고"],
            ["디럭스", 140000, 0.125, datetime.date(2026, 12, 3), datetime.time(15, 0), None],
            ["스위트", 320000.5, 0, datetime.datetime(2026, 12, 24, 18, 30), datetime.time(16, 0), True],
        ):
            book.active.append(row)
        for line in (4, 5):
            book.active.cell(line, 2).number_format = '#,##0"원"'
            book.active.cell(line, 3).number_format = "0.0%"
        hidden = book.create_sheet("비밀")
        hidden.append(["보이지 않는 글"])
        hidden.sheet_state = "hidden"
        book.create_sheet("지점").append(["이름", "전화"])
        book["지점"].append(["부산", "051-555-0142"])

    extract = read_bytes("요금.xlsx", workbook(fill))
    assert [extract.text[h.start : h.end] for h in extract.headings] == ["2026 요금", "지점"]
    assert records(extract) == [
        "객실: 디럭스, 요금: 140,000원, 할인: 12.5%, 시작: 2026-12-03, 체크인: 15:00.",
        "객실: 스위트, 요금: 320,001원, 할인: 0.0%, 시작: 2026-12-24 18:30, 체크인: 16:00, 비고: TRUE.",
        "이름: 부산, 전화: 051-555-0142.",
    ]
    assert "남산스테이 요금표" in extract.text
    assert "보이지 않는" not in extract.text
    assert [piece.title for piece in chunk(extract)][-1] == "요금 › 지점"


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (1234567, "General", "1234567"),
        (0.1 + 0.2, "General", "0.3"),
        (3.0, "General", "3"),
        (1234.5, "#,##0.00", "1,234.50"),
        (1234.5, "#,##0.##", "1,234.5"),
        (-5000, "#,##0;-#,##0", "-5,000"),
        (-5000, "#,##0", "-5,000"),
        (90000, "[$₩-412]#,##0", "₩90,000"),
        (90000, '_-"₩"* #,##0_-', "₩90,000"),
        (7, "000", "007"),
        (0.5, "0%", "50%"),
        (12, '0"박"', "12박"),
        (45000000, '#,##0,"천원"', "45,000천원"),
        (1e20, "General", "1e+20"),
        (datetime.datetime(2026, 1, 2), "yyyy-mm-dd", "2026-01-02"),
        (datetime.datetime(1899, 12, 31, 9, 5), "h:mm", "09:05"),
        (datetime.timedelta(hours=26, minutes=5), "[h]:mm", "26:05"),
        (False, "General", "FALSE"),
        (None, "General", ""),
        ("0012", "@", "0012"),
    ],
)
def test_a_cell_is_shown_by_its_format(value: Any, number_format: str, text: str) -> None:
    assert shown(value, number_format) == text


def test_years_may_name_columns_and_figures_may_not() -> None:
    assert records(read_bytes("a.html", _plain([["구분", "2024", "2025"], ["매출", "10억", "12억"]]))) == [
        "구분: 매출, 2024: 10억, 2025: 12억."
    ]
    assert records(read_bytes("a.html", _plain([["온돌", "90,000원"], ["침대", "80,000원"]]))) == [
        "온돌 | 90,000원",
        "침대 | 80,000원",
    ]


def _plain(rows: list[list[str]]) -> bytes:
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return ("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>").encode()


@pytest.mark.parametrize(
    ("name", "data", "format_"),
    [
        ("export.xlsx", page("th"), "html"),
        ("export.xlsx", b"a,b\n1,2\n", "csv"),
        ("notes.pdf", b"These are only words.", "txt"),
        ("report.txt", (FILES / "table-ko.pdf").read_bytes(), "pdf"),
        ("price.docx", workbook(lambda book: book.active.append(["a", "b"])), "xlsx"),
        ("page.txt", b"<!DOCTYPE html>\n<p>Parking is free.</p>", "html"),
        ("talk.txt", "MZ세대는 조식을 먹지 않습니다.".encode("cp949"), "txt"),
        ("talk.md", b"<div>not a page</div>", "md"),
    ],
)
def test_what_a_file_is_decides_over_its_ending(name: str, data: bytes, format_: str) -> None:
    assert read_bytes(name, data).format == format_


def test_a_document_can_be_cut_again_from_what_is_stored() -> None:
    extract = read(FILES / "table-ko.pdf")
    facts = {key: getattr(extract, key) for key in ("name", "format", "digest", "size", "text", "title")}
    assert with_structure(structure_of(extract), **facts) == extract
