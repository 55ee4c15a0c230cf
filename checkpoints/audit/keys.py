"""The ed25519 keys that sign audit records and heads: made on first use, rotated, exported. Knows no chain.

Under the keys folder (0700)::

    audit-<key id>.key   the private key, PKCS 8 in PEM, 0600
    audit-<key id>.pub   the public key, SubjectPublicKeyInfo in PEM: give it to whoever checks
    audit.current        the id of the key that signs now

A key's id is the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes. Public keys are never removed: what
an old key signed stays checkable. Where sessions lie in a database, each machine has a folder and a key of its own, and
the database has all their public halves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from checkpoints.backend import Backend
from checkpoints.errors import DiskFault
from checkpoints.files.folders import open_file, replace_file
from checkpoints.files.locks import OsLock
from state import BrokenInvariant


class BadKey(BrokenInvariant):
    """A key file is missing or does not hold the key that its name says."""


class Signer:
    """One private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key()
        self.key_id = id_of(self.public)

    def sign(self, data: bytes) -> str:
        """The signature, 128 lower-case hexadecimal digits."""
        return self._private.sign(data).hex()

    def files(self) -> tuple[bytes, bytes]:
        """(private, public) as PEM."""
        private = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, pem_of(self.public)


class Keys:
    """The keys folder. Cheap; reads the current key once and again after a rotation by this object.

    ``backend``: knows the public keys of other machines.
    """

    def __init__(self, directory: str | os.PathLike[str], backend: Backend | None = None) -> None:
        self.directory = Path(directory).absolute()
        self.backend = backend
        self._signer: Signer | None = None

    def public(self) -> dict[str, Ed25519PublicKey]:
        """All public keys that are at hand, by id."""
        told = {} if self.backend is None else self.backend.signers()
        return told_keys(told)[0] | public_keys(self.directory)[0]

    def signer(self) -> Signer:
        """The key that signs now; made if there is none yet, one winner across processes.

        Raises:
            BadKey: the current private key is gone or spoilt.
        """
        if self._signer is None:
            with self._locked():
                current = self._current()
                if current:
                    self._signer = self._load(current)
                else:
                    self._use(self._make())
        assert self._signer is not None
        return self._signer

    def make(self) -> Signer:
        """A new key, in the folder but not yet in use: first let the old one vouch for it."""
        with self._locked():
            return self._make()

    def use(self, signer: Signer) -> None:
        """Sign with this key of the folder from now on."""
        with self._locked():
            self._use(signer)

    def refresh(self) -> None:
        """Look again which key is current: another process may have rotated it."""
        if self._signer is not None and self._current() != self._signer.key_id:
            self._signer = None

    def _locked(self) -> OsLock:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise DiskFault(f"cannot create {self.directory}: {e.strerror}; nothing can be signed without it") from e
        return OsLock(self.directory / "audit.lock")

    def _current(self) -> str:
        try:
            return (self.directory / "audit.current").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as e:
            raise BadKey(f"{self.directory / 'audit.current'} cannot be read: {e}; restore it from a backup") from e

    def _load(self, key_id: str) -> Signer:
        path = self.directory / f"audit-{key_id}.key"
        try:
            private = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as e:
            raise BadKey(
                f"{path} cannot be read ({e}), and nothing is signed without it: restore it from a backup, "
                "or begin a new key with `dojang audit rotate-key`"
            ) from e
        if not isinstance(private, Ed25519PrivateKey) or id_of(private.public_key()) != key_id:
            raise BadKey(f"{path} does not hold the key {key_id}; restore it from a backup")
        return Signer(private)

    def _make(self) -> Signer:
        signer = Signer(Ed25519PrivateKey.generate())
        private, public = signer.files()
        path = self.directory / f"audit-{signer.key_id}.key"
        replace_file(path, private)  # 0600 from its first byte
        replace_file(path.with_suffix(".pub"), public)
        return signer

    def _use(self, signer: Signer) -> None:
        replace_file(self.directory / "audit.current", signer.key_id.encode() + b"\n")
        self._signer = signer


def public_keys(directory: str | os.PathLike[str]) -> tuple[dict[str, Ed25519PublicKey], list[tuple[Path, str]]]:
    """All public keys of a folder by id, and (file, what is wrong with it) of those that cannot be used."""
    found: dict[str, Ed25519PublicKey] = {}
    wrong: list[tuple[Path, str]] = []
    for path in sorted(Path(directory).glob("audit-*.pub")):
        try:
            data = _read(path)
            key = public_key(data)
        except (OSError, ValueError, UnsupportedAlgorithm) as e:
            wrong.append((path, f"it does not hold a public key ({e})"))
            continue
        if path.name != f"audit-{id_of(key)}.pub" or data != pem_of(key):
            wrong.append((path, "it does not hold the key that its name says"))
        else:
            found[id_of(key)] = key
    return found, wrong


def told_keys(told: Mapping[str, bytes]) -> tuple[dict[str, Ed25519PublicKey], list[str]]:
    """The public keys that other machines have made known, and the ids of those that are none."""
    found: dict[str, Ed25519PublicKey] = {}
    wrong: list[str] = []
    for key_id, pem in told.items():
        try:
            key = public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            wrong.append(key_id)
            continue
        if id_of(key) != key_id or pem != pem_of(key):
            wrong.append(key_id)
        else:
            found[key_id] = key
    return found, wrong


def _read(path: Path) -> bytes:
    fd = open_file(path, os.O_RDONLY)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def public_key(pem: bytes) -> Ed25519PublicKey:
    """The key in a PEM; ValueError where there is none."""
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is not an ed25519 key")
    return key


def id_of(key: Ed25519PublicKey) -> str:
    """The id of a public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def pem_of(key: Ed25519PublicKey) -> bytes:
    """The public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    """Whether ``signature``, written exactly as :meth:`Signer.sign` writes it, is this key's over ``data``."""
    try:
        raw = bytes.fromhex(signature)
        key.verify(raw, data)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return raw.hex() == signature
