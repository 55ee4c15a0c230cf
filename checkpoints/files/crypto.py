"""Sealing of records: which key, which nonce, bound to which place. Knows no file format but that of the key file.

A key file (JSON, 0600) holds one active key and the old ones, as they are or wrapped under a passphrase (scrypt)::

    {"format":1,"active":"<id>","keys":[{"id":"<16 hex>","made_at":"…","key":"<base64 of 32 bytes>"}, …]}

The id is made from the key (SHA-256), so a file cannot name one key and hold another. Nonces never repeat under one
key: every process draws a random salt of 16 bytes, derives a key of its own from it (HKDF), and counts. What a sealed
record is bound to, and what sealing cannot do, is in docs/checkpoint-format.md.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from checkpoints.errors import BadKeyFile, WrongKey
from checkpoints.files.folders import open_file, replace_file
from checkpoints.files.locks import OsLock

if TYPE_CHECKING:  # a tenth of a second that sessions without keys need not spend
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 12, 16
SEALS_MAX = 2**32
"""Records under one salt; then another is drawn. Four bytes of the nonce count them."""

SCRYPT = {"n": 2**17, "r": 8, "p": 1}
"""Cost of a passphrase: 128 MiB and about half a second, for us and for whoever guesses."""

_SUBKEY = b"dojang session subkey 1"
_WRAP = b"dojang session key 1 "
_KEPT = 256  # derived keys that are remembered; one for each process that wrote


@dataclass(frozen=True)
class Place:
    """Where a record stands; a sealed one opens nowhere else."""

    thread: str  # the name of the thread's folder: its slug and the SHA-256 of its id
    kind: str  # of the file: checkpoints, decisions, ledger
    gen: str  # of the file: changes whenever it is rewritten
    offset: int  # byte at which the line begins
    prev: str  # checksum of the line before

    def associated(self, kind: str, key_id: str) -> bytes:
        """The associated data of a record of this kind under this key."""
        return b"dojang session record 1\n" + orjson.dumps(
            [self.thread, self.kind, self.gen, self.offset, self.prev, kind, key_id]
        )


class Forged(Exception):
    """A record does not open where it stands; internal, the journal raises DamagedLog with the path."""


class KeyRing:
    """The keys that open records, and the one that seals. Safe to share between threads; survives a fork.

    Args:
        keys: key id → 32 bytes.
        active: the id of the key that seals.
        path: the file they came from; it is looked at again when it changes, so a rotation by another process counts
            at once.
    """

    def __init__(
        self, keys: Mapping[str, bytes], active: str, *, path: Path | None = None, passphrase: str | None = None
    ) -> None:
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES or id_of(key) != key_id:
                raise BadKeyFile(f"key {key_id!r} is not the key that its id says; restore the key file from a backup")
        if active not in keys:
            raise BadKeyFile(f"the active key {active!r} is not among the keys; restore the key file from a backup")
        self._keys = dict(keys)
        self._active = active
        self.path = path
        self._passphrase = passphrase
        self._stamp = _stamp(path)
        self._mutex = threading.Lock()
        self._derived: dict[tuple[str, bytes], AESGCM] = {}
        self._new_salt()

    def __repr__(self) -> str:
        return f"KeyRing(active={self._active!r}, {len(self._keys)} keys)"  # never the keys

    # -- making, loading, rotating ----------------------------------------------------------------------------------

    @classmethod
    def of(cls, *keys: bytes) -> KeyRing:
        """A ring of these keys (32 bytes each); the first one seals."""
        return cls({id_of(key): key for key in keys}, id_of(keys[0]))

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, passphrase: str | None = None, n: int = SCRYPT["n"]) -> KeyRing:
        """A new key in a new file, durable on return.

        Raises:
            BadKeyFile: there is such a file already.
        """
        target = Path(path).absolute()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with OsLock(_lock_of(target)):
            if target.exists():
                raise BadKeyFile(f"{target} exists already; name another file, or rotate it")
            about: dict[str, Any] = {"format": 1, "active": "", "keys": []}
            if passphrase is not None:
                salt = base64.b64encode(secrets.token_bytes(SALT_BYTES)).decode()
                about["scrypt"] = {"salt": salt, **SCRYPT, "n": n}
            _add(about, _kek(target, about, passphrase))
            replace_file(target, orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
        return cls.load(target, passphrase=passphrase)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, passphrase: str | None = None) -> KeyRing:
        """The keys of a file.

        Raises:
            BadKeyFile: it is missing, spoilt, readable by others, or the passphrase is wrong or missing.
        """
        source = Path(path).absolute()
        about = _about(source)
        kek = _kek(source, about, passphrase)
        try:
            keys = {str(k["id"]): _unwrapped(source, k, kek) for k in about["keys"]}
            active = str(about["active"])
        except (KeyError, TypeError, ValueError) as e:
            raise BadKeyFile(f"{source} holds no session keys ({type(e).__name__}); restore it from a backup") from e
        try:
            return cls(keys, active, path=source, passphrase=passphrase)
        except BadKeyFile as e:
            raise BadKeyFile(f"{source}: {e}") from None

    def rotate(self) -> str:
        """Make a new key and seal with it from now on, in every process; the old ones go on opening. Its id.

        Raises:
            BadKeyFile: the ring has no file, or it cannot be read any more.
        """
        if self.path is None:
            raise BadKeyFile("these keys came from no file, so no key can be added to them; load them from one")
        with OsLock(_lock_of(self.path)):
            about = _about(self.path)
            key_id = _add(about, _kek(self.path, about, self._passphrase))
            replace_file(self.path, orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
        self._refresh()
        return key_id

    @property
    def active(self) -> str:
        """The id of the key that seals now."""
        self._refresh()
        return self._active

    @property
    def ids(self) -> list[str]:
        """All key ids, oldest first."""
        return list(self._keys)

    def _refresh(self, *, force: bool = False) -> None:
        if self.path is None:
            return
        stamp = _stamp(self.path)
        if stamp is None or (stamp == self._stamp and not force):
            return  # a file that is gone keeps what was loaded: nothing that is written gets lost by it
        fresh = KeyRing.load(self.path, passphrase=self._passphrase)
        with self._mutex:
            self._keys, self._active, self._stamp = fresh._keys, fresh._active, stamp
            self._new_salt()

    # -- sealing ----------------------------------------------------------------------------------------------------

    def _new_salt(self) -> None:
        self._pid = os.getpid()
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._count = 0

    def _nonce(self) -> tuple[str, bytes, bytes]:
        """(key id, salt, nonce): the count makes it unique in this process, the salt among processes.

        The eight random bytes are for a machine that was copied while it ran (a snapshot), where both counts go on.
        """
        with self._mutex:
            if self._pid != os.getpid() or self._count >= SEALS_MAX:
                self._new_salt()
            count = self._count
            self._count += 1
            return self._active, self._salt, count.to_bytes(4, "big") + secrets.token_bytes(NONCE_BYTES - 4)

    def seal(self, record: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """``{"k", "key", "box"}``: the record, of the same kind, readable with the key and at this place only."""
        self._refresh()
        key_id, salt, nonce = self._nonce()
        data = self._cipher(key_id, salt).encrypt(nonce, orjson.dumps(record), place.associated(record["k"], key_id))
        return {"k": record["k"], "key": key_id, "box": base64.b64encode(salt + nonce + data).decode()}

    def open(self, record: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """The record in a sealed one.

        Raises:
            WrongKey: the ring has not got its key.
            Forged: it was changed, or sealed for another place.
        """
        key_id = record["key"]
        if key_id not in self._keys:
            self._refresh(force=True)
        if key_id not in self._keys:
            raise WrongKey(str(key_id), f"the key ring has only {', '.join(self._keys)}")
        try:
            box = base64.b64decode(record["box"], validate=True)
        except (ValueError, TypeError) as e:
            raise Forged from e
        if base64.b64encode(box).decode() != record["box"] or len(box) < SALT_BYTES + NONCE_BYTES + TAG_BYTES:
            raise Forged
        from cryptography.exceptions import InvalidTag

        salt, nonce = box[:SALT_BYTES], box[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        try:
            data = self._cipher(key_id, salt).decrypt(
                nonce, box[SALT_BYTES + NONCE_BYTES :], place.associated(record["k"], key_id)
            )
        except InvalidTag as e:
            raise Forged from e
        opened: dict[str, Any] = orjson.loads(data)
        return opened

    def _cipher(self, key_id: str, salt: bytes) -> AESGCM:
        found = self._derived.get((key_id, salt))
        if found is None:
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF

            kdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=_SUBKEY)
            found = AESGCM(kdf.derive(self._keys[key_id]))
            with self._mutex:
                while len(self._derived) >= _KEPT:
                    del self._derived[next(iter(self._derived))]
                self._derived[key_id, salt] = found
        return found


def id_of(key: bytes) -> str:
    """The id of a key: 16 hexadecimal digits."""
    return hashlib.sha256(b"dojang session key id 1" + key).hexdigest()[:16]


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record of a file is a sealed one."""
    return "box" in record


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _about(path: Path) -> dict[str, Any]:
    """The key file as it is."""
    try:
        fd = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BadKeyFile(
            f"there is no key file {path}; restore it, or make one with `dojang checkpoints make-key`"
        ) from None
    with os.fdopen(fd, "rb") as file:
        if os.name != "nt" and os.fstat(fd).st_mode & 0o077:
            raise BadKeyFile(f"{path} can be read by others; allow it to its owner alone: chmod 600 {path}")
        data = file.read()
    try:
        about = orjson.loads(data)
        if about["format"] != 1:
            raise BadKeyFile(f"{path} has format {about['format']!r}, this program reads 1; update it")
        about["keys"], about["active"]
    except (ValueError, KeyError, TypeError) as e:
        raise BadKeyFile(f"{path} holds no session keys; restore it from a backup") from e
    return dict(about)


def _kek(path: Path, about: dict[str, Any], passphrase: str | None) -> AESGCM | None:
    """What wraps the keys of a file; None for one without a passphrase."""
    given = about.get("scrypt")
    if given is None:
        return None
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    if passphrase is None:
        raise BadKeyFile(f"the keys in {path} need a passphrase; set DOJANG_SESSION_PASSPHRASE")
    try:
        n, r, p = int(given["n"]), int(given["r"]), int(given["p"])
        if not (2**10 <= n <= 2**22 and 1 <= r <= 32 and 1 <= p <= 16):
            raise ValueError("costs out of range")
        kdf = Scrypt(salt=base64.b64decode(given["salt"], validate=True), length=KEY_BYTES, n=n, r=r, p=p)
        return AESGCM(kdf.derive(passphrase.encode()))
    except (KeyError, TypeError, ValueError) as e:
        raise BadKeyFile(f"{path} says nothing usable about its passphrase; restore it from a backup") from e


def _add(about: dict[str, Any], kek: AESGCM | None) -> str:
    """Put a new key in front of all; its id."""
    key = secrets.token_bytes(KEY_BYTES)
    entry = {"id": id_of(key), "made_at": datetime.now(UTC).isoformat()}
    if kek is None:
        entry["key"] = base64.b64encode(key).decode()
    else:
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + kek.encrypt(nonce, key, _WRAP + entry["id"].encode())
        entry["wrapped"] = base64.b64encode(wrapped).decode()
    about["keys"] = [*about["keys"], entry]
    about["active"] = entry["id"]
    return entry["id"]


def _unwrapped(path: Path, entry: dict[str, Any], kek: AESGCM | None) -> bytes:
    if kek is None:
        return base64.b64decode(entry["key"], validate=True)
    from cryptography.exceptions import InvalidTag

    raw = base64.b64decode(entry["wrapped"], validate=True)
    try:
        return kek.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _WRAP + str(entry["id"]).encode())
    except InvalidTag as e:
        raise BadKeyFile(
            f"the passphrase does not open key {entry['id']!r} in {path}; check DOJANG_SESSION_PASSPHRASE"
        ) from e
