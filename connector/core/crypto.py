"""Encryption at rest for secrets and buyer data (product rule 12).

Keys are Fernet keys; the first encrypts, all of them decrypt, so a key is changed by putting a new one in front. ``blind_index`` makes
encrypted values findable by equality: a keyed digest of the normalised value, useless without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Vault:
    """Encrypts and decrypts text with the installation's keys."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise ValueError("CONNECTOR_ENCRYPTION_KEYS holds no key")
        self._fernet = MultiFernet([Fernet(key.encode()) for key in keys])
        self._first = Fernet(keys[0].encode())
        self._index_keys = [hashlib.sha256(b"blind-index:" + key.encode()).digest() for key in keys]

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """The plain text. Raises ``ValueError`` when none of the keys fits."""
        return self.unseal(token.encode()).decode()

    def seal(self, data: bytes) -> bytes:
        """The same for bytes, such as a compressed file."""
        return self._fernet.encrypt(data)

    def unseal(self, token: bytes) -> bytes:
        """The plain bytes. Raises ``ValueError`` when none of the keys fits."""
        try:
            return self._fernet.decrypt(token)
        except InvalidToken as error:
            raise ValueError(
                "A stored secret cannot be read with the present CONNECTOR_ENCRYPTION_KEYS. Put the earlier key back behind the new one."
            ) from error

    def renew(self, token: str) -> str | None:
        """The same text under the first key; None when it is already. Raises ``ValueError`` when none of the keys fits."""
        fresh = self.renew_sealed(token.encode())
        return None if fresh is None else fresh.decode()

    def renew_sealed(self, token: bytes) -> bytes | None:
        """The same for bytes that ``seal`` made."""
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return self.seal(self.unseal(token))
        return None

    def blind_index(self, value: str) -> str:
        """A digest by which an encrypted value can be found again: lower-cased, trimmed, keyed by the first key."""
        return self.blind_indexes(value)[0]

    def blind_indexes(self, value: str) -> list[str]:
        """The digests under every key: what was stored before a key was put in front is found as well."""
        plain = " ".join(value.lower().split()).encode()
        return [hmac.new(key, plain, hashlib.sha256).hexdigest()[:32] for key in self._index_keys]


_vault: Vault | None = None


def configure(keys: list[str]) -> None:
    """Set the keys of this process; called once by the app factory."""
    global _vault
    _vault = Vault(keys)


def vault() -> Vault:
    if _vault is None:
        raise RuntimeError("connector.core.crypto.configure() has not been called")
    return _vault


def read_or_create_key(path: Path) -> str:
    """The key in ``path``; a new one, readable by its owner alone, when the file does not exist yet.

    Several processes may start at once: the file is created exclusively and the loser reads what the winner wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Fernet.generate_key().decode()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(fresh)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return path.read_text().strip()
