"""Reading files: formats, encodings, and files that cannot go in."""

from __future__ import annotations

import codecs
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from state import UserError
from store.readers import kinds
from store.readers.extract import Unreadable
from store.readers.files import read, read_bytes
from store.text.language import clean

SAMPLE = Path(__file__).parents[2] / "dojang" / "sample" / "documents"
ENDINGS = [f"a{ending}" for ending in kinds.ENDINGS]
KOREAN = "남산스테이 이용 안내\n\n체크인은 오후 3시부터입니다. 똠양꿍과 펲시도 팝니다.\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_korean_text_in_any_usual_encoding(encoding: str) -> None:
    assert read_bytes("안내.txt", KOREAN.encode(encoding)).text == KOREAN


def test_a_short_cp949_text_is_not_taken_for_another_encoding() -> None:
    assert read_bytes("a.txt", "방값은 9만원".encode("cp949")).text == "방값은 9만원"


def test_an_html_page_says_its_encoding_itself() -> None:
    head = '<html><head><meta charset="euc-kr"><title>주차</title></head>'
    page = head + "<body><h1>주차</h1><p>무료입니다.</p></body></html>"
    extract = read_bytes("a.html", page.encode("cp949"))
    assert (extract.title, extract.text) == ("주차", "주차\n\n무료입니다.")


def test_decomposed_hangul_becomes_composed() -> None:
    assert read_bytes("a.txt", "주차".encode()).text == "주차"


def test_html_keeps_structure_and_drops_scripts() -> None:
    page = "<h2>A</h2><script>evil()</script><div>One<p>Two.</p></div><table><tr><td>x</td><td>y</td></tr></table>"
    extract = read_bytes("a.html", page.encode())
    assert extract.text == "A\n\nOne\n\nTwo.\n\nx | y"
    assert [extract.text[r.start : r.end] for r in extract.records] == ["x | y"]
    assert [(h.start, h.end, h.level) for h in extract.headings] == [(0, 1, 2)]


def test_text_beside_blocks_in_a_div_is_not_lost() -> None:
    extract = read_bytes("a.html", b"<body>Before <div>One<p>Two.</p>Three</div> after</body>")
    for word in ("Before", "One", "Two.", "Three", "after"):
        assert word in extract.text


def test_word_and_pdf_and_csv_samples() -> None:
    word = read(SAMPLE / "ko" / "group-bookings.docx")
    assert word.title == "단체 예약"
    assert "회의실은 반나절에 150,000원입니다." in word.text
    assert [word.text[h.start : h.end] for h in word.headings] == [
        "단체 예약",
        "요금과 보증금",
        "변경과 명단",
        "회의실",
    ]
    pdf = read(SAMPLE / "en" / "spa-and-pool.pdf")
    assert pdf.pages == (0,)
    assert "The pool is open from 7 a.m. to 9 p.m. every day." in pdf.text
    table = read(SAMPLE / "ko" / "hotels.csv")
    assert "호텔: 해운대펄, 도시: 부산, 스탠다드 1박 요금: 140,000원" in table.text


def test_a_csv_of_excel_in_korea() -> None:
    extract = read_bytes("방.csv", "객실;요금\r\n디럭스;90000원\r\n".encode("cp949"))
    assert extract.text == "객실: 디럭스, 요금: 90000원."


def _locked_pdf() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _blank_pdf() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * (201 * 2**20))
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return out.getvalue()


def _empty_workbook() -> bytes:
    out = io.BytesIO()
    openpyxl.Workbook().save(out)
    return out.getvalue()


def _half_a_workbook() -> bytes:
    """Whole as an archive, but one part of it is cut off."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_empty_workbook())) as whole, zipfile.ZipFile(out, "w") as half:
        for entry in whole.infolist():
            body = whole.read(entry)
            half.writestr(entry, body[: len(body) // 2] if "workbook.xml" in entry.filename else body)
    return out.getvalue()


def _half_a_word_file() -> bytes:
    out = io.BytesIO()
    docx.Document().save(out)
    return out.getvalue()[: len(out.getvalue()) // 2]


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("빈파일.txt", lambda: b"", "is empty"),
        ("white.md", lambda: b" \n\t\n", "is empty"),
        ("nothing.html", lambda: b"<html><script>x</script></html>", "holds no text"),
        ("program.txt", lambda: b"\x7fELF\x02\x01\x01" + bytes(400), r"is a binary file \(ELF executable\)"),
        ("noise.txt", lambda: bytes(range(256)) * 40, "binary|unknown encoding"),
        ("nul.txt", lambda: bytes(4000), "binary|empty"),
        ("picture.txt", lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "Portable Network Graphics"),
        ("scan.txt", lambda: b"%PDF-1.4 and more", "not a whole PDF"),
        ("old.xlsx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
        ("archive.txt", _zip, "is a zip archive"),
        ("half.xlsx", _half_a_workbook, "not a whole Excel file|not a whole Office file"),
        ("empty.xlsx", _empty_workbook, "holds no text"),
        ("broken.pdf", lambda: b"%PDF-1.4\n1 0 obj\nhalf a f", "not a whole PDF"),
        ("locked.pdf", _locked_pdf, "locked by a password"),
        ("blank.pdf", _blank_pdf, "holds no text; a scanned PDF"),
        ("half.docx", _half_a_word_file, "not a whole Office file"),
        ("bomb.docx", _zip_bomb, "unpacks to more than"),
        ("movie.mp4", lambda: b"abc", r"\.mp4 are not read"),
        ("README", lambda: b"abc", r"\(no ending\) are not read"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(name: str, make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        read_bytes(name, make())
    assert str(refused.value).startswith(name) or f" {name}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, UserError)


def test_a_100_mb_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(100 * 2**20)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(Unreadable, match="has 100 MB, the limit is 20 MB"):
        read(big)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no such file"):
        read(tmp_path / "없음.txt")
    with pytest.raises(Unreadable, match="is a folder"):
        read(tmp_path)


def test_a_stray_nul_becomes_a_space() -> None:
    assert read_bytes("a.txt", b"Parking is\x00free for guests of the house.").text.startswith("Parking is free")


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=sys.maxunicode, exclude_categories=())))
def test_clean_text_can_always_be_stored(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert clean(cleaned) == cleaned


@given(st.binary(max_size=300), st.sampled_from(ENDINGS))
def test_any_bytes_are_read_or_refused(data: bytes, name: str) -> None:
    try:
        text = read_bytes(name, data).text
    except Unreadable:
        return
    assert text.strip()
    text.encode("utf-8")


WHOLE = {
    "a.pdf": (Path(__file__).parent / "files" / "table-ko.pdf").read_bytes(),
    "b.pdf": (SAMPLE / "en" / "spa-and-pool.pdf").read_bytes(),
    "a.docx": (SAMPLE / "ko" / "group-bookings.docx").read_bytes(),
    "a.xlsx": _empty_workbook(),
    "a.html": (SAMPLE / "en" / "parking.html").read_bytes(),
}


@example("a.docx", [(0.125, b"\0")], 1.0)  # inside of a compressed part: zlib's own error
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=12)), min_size=1, max_size=8),
    st.floats(0.2, 1),
)
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_read_or_refused(name: str, damage: list[tuple[float, bytes]], kept: float) -> None:
    data = bytearray(WHOLE[name])
    for place, new in damage:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    try:
        extract = read_bytes(name, bytes(data[: int(kept * len(data)) + 1]))
    except Unreadable:
        return
    extract.text.encode("utf-8")
    for record in extract.records:
        assert extract.text[record.start : record.end].strip()
    for heading in extract.headings:
        assert extract.text[heading.start : heading.end].strip()


@given(st.binary(max_size=200))
@example(b"_-------------")  # an attribute's name: relations that cannot be read
@settings(deadline=None, max_examples=100)
def test_damage_inside_of_an_office_file_is_read_or_refused(noise: bytes) -> None:
    for name in ("a.docx", "a.xlsx"):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(WHOLE[name])) as whole, zipfile.ZipFile(out, "w") as spoiled:
            for entry in whole.infolist():
                body = whole.read(entry)
                at = len(noise) * 7 % max(len(body), 1)
                spoiled.writestr(entry, body[:at] + noise + body[at:])
        try:
            read_bytes(name, out.getvalue())
        except Unreadable:
            pass


@pytest.mark.parametrize("head", [b"", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE], ids=["no-bom", "bom-le", "bom-be"])
def test_korean_utf16_without_a_single_space(head: bytes) -> None:
    text = "체크인시간안내주차무료조식제공"
    encoding = "utf-16-be" if head == codecs.BOM_UTF16_BE else "utf-16-le"
    assert read_bytes("a.txt", head + text.encode(encoding)).text == text


def test_pdf_text_keeps_hangul_together_and_knows_headings() -> None:
    pdf = read(Path(__file__).parent / "files" / "table-ko.pdf")
    assert "조식은 7시부터 10시까지 제공됩니다." in pdf.text
    assert "  " not in pdf.text
