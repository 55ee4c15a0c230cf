"""Words go, digests stay: the chains verify, and only what was noted may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.files.journal import Journal
from checkpoints.files.mending import rewrite
from checkpoints.upkeep.erasing import erase_person, erase_thread
from state import UserError
from tests.checkpoints.audited import ACTION, folder, lived, log, outcome, problems


def bytes_of(home: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder(home).glob("*.jsonl"))


def test_what_a_person_wrote_is_gone_and_the_chain_holds(tmp_path: Path) -> None:
    audit = lived(tmp_path)
    assert "확인함" in bytes_of(tmp_path)
    [done] = erase_person(audit, "김하나", "관리자", "asked for it")
    assert (done["decisions"], done["effects"], done["checkpoints"]) == (1, 0, False)
    assert "확인함" not in bytes_of(tmp_path)
    assert problems(tmp_path) == []
    assert audit.records("t")[-1]["event"] == "content.erased"
    assert audit.records("t")[-1]["facts"]["reason"] == "asked for it"
    assert erase_person(audit, "김하나", "관리자", "again") == []
    assert log(tmp_path).catch_up("t") == 0  # a later process finds nothing to add or to complain of


def test_a_whole_conversation_is_gone_and_the_chain_holds(tmp_path: Path) -> None:
    audit = lived(tmp_path)
    assert '"방"' in bytes_of(tmp_path)
    done = erase_thread(audit, "t", "관리자", "law")
    assert (done["decisions"], done["effects"], done["checkpoints"]) == (1, 2, True)
    assert '"방"' not in bytes_of(tmp_path)
    assert '"예약"' not in bytes_of(tmp_path)
    assert problems(tmp_path) == []


def test_an_effect_without_an_outcome_is_not_erased(tmp_path: Path) -> None:
    from checkpoints import EffectLedger

    audit = lived(tmp_path)
    EffectLedger(tmp_path / "threads").begin("t", "k2", ACTION, "at_most_once")
    with pytest.raises(UserError, match="settle it first"):
        erase_thread(audit, "t", "관리자", "law")
    with pytest.raises(UserError, match="there is no thread"):
        erase_thread(audit, "없음", "관리자", "law")


@pytest.mark.parametrize("change", ["unnoted", "type", "digest", "outcome"])
def test_an_erasure_hides_no_change(tmp_path: Path, change: str) -> None:
    audit = lived(tmp_path)
    journal = Journal(folder(tmp_path) / "decisions.jsonl", kind="decisions")
    if change == "unnoted":  # words taken out by hand, called erased
        [record] = list(journal)
        digest = audit.records("t")[1]["content_sha256"]
        rewrite(journal, [{**record, "decision": {**record["decision"], "reason": ""}, "erased": {"sha256": digest}}])
    elif change == "outcome":
        erase_thread(audit, "t", "관리자", "law")
        ledger = Journal(folder(tmp_path) / "ledger.jsonl", kind="ledger")
        records = list(ledger)
        records[-1]["outcome"]["status"] = "failed"
        rewrite(ledger, records)
    else:
        erase_person(audit, "김하나", "관리자", "asked for it")
        [record] = list(journal)
        other = {"type": "reject"} if change == "type" else {}
        marked = {**record["erased"], "sha256": "0" * 64} if change == "digest" else record["erased"]
        rewrite(journal, [{**record, "decision": {**record["decision"], **other}, "erased": marked}])
    assert problems(tmp_path)


def test_a_crash_between_note_and_rewriting_is_mended_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import checkpoints.files.backend

    audit = lived(tmp_path)

    def die(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as cut:
        cut.setattr(checkpoints.files.backend, "rewrite", die)
        with pytest.raises(OSError, match="power cut"):
            erase_person(audit, "김하나", "관리자", "asked")
    assert "확인함" in bytes_of(tmp_path)
    assert problems(tmp_path) == []
    erase_person(log(tmp_path), "김하나", "관리자", "asked")
    assert "확인함" not in bytes_of(tmp_path)
    assert verify_audit(tmp_path)["findings"] == []
    assert outcome()["status"] == "done"
