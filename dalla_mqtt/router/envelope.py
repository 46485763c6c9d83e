"""The cryptography of newer firmware: RSA for what is said at the login, AES for what is said after it.

Source: docs/router.md, "Login variants".
"""

from __future__ import annotations

import binascii
import hashlib
import re
import secrets
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from dalla_mqtt.errors import BadReply

_PKCS1_BYTES = 11  # what PKCS#1 v1.5 takes of a block
_BLOCK_BITS = 128  # of AES
_DIGITS = 16  # of a key, and of the other half of what AES needs: the router takes their ASCII codes
_PARAMETER = re.compile(r'\b(nn|ee|seq)\s*=\s*"?([0-9A-Fa-f]{1,1024})"?')


class PublicKey(Struct, frozen=True):
    """What `/cgi/getParm` tells: a public RSA key, and the number that is added to the length of what we send."""

    modulus: int
    exponent: int
    sequence: int

    @property
    def size(self) -> int:
        """Bytes of a block."""
        return (self.modulus.bit_length() + 7) // 8

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key in an answer of lines such as `var nn="…";`, in hexadecimal. Raises BadReply where there is none."""
        found = dict(_PARAMETER.findall(text))
        try:
            key = cls(int(found["nn"], 16), int(found["ee"], 16), int(found.get("seq", "0")))
            if key.size <= _PKCS1_BYTES:
                raise ValueError("there is no room for anything")
            key.encrypt(b"?", pkcs1=True)  # which looks at both numbers
        except (KeyError, ValueError) as error:
            raise BadReply("the router told no RSA key to log in with") from error
        return key

    def encrypt(self, text: bytes, *, pkcs1: bool) -> str:
        """`text` in hexadecimal, block by block: padded as PKCS#1 v1.5 has it, or with zeros at the end of the last."""
        step = self.size - (_PKCS1_BYTES if pkcs1 else 0)
        blocks = (text[at : at + step] for at in range(0, len(text), step))
        return "".join((self._padded if pkcs1 else self._bare)(block).hex() for block in blocks)

    def _padded(self, block: bytes) -> bytes:
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key().encrypt(block, padding.PKCS1v15())

    def _bare(self, block: bytes) -> bytes:
        """What no library does, since it is unsafe: the number as it is, to a power."""
        number = int.from_bytes(block.ljust(self.size, b"\0"), "big")
        return pow(number, self.exponent, self.modulus).to_bytes(self.size, "big")


class Envelope:
    """Seals what is asked in one session and opens what is answered. `pkcs1`: how the router wants its signs padded."""

    def __init__(self, key: PublicKey, username: str, password: str, *, pkcs1: bool) -> None:
        self._key = key
        self._pkcs1 = pkcs1
        # the router's own choice: it knows the password by this
        self._hash = hashlib.md5(f"{username}{password}".encode(), usedforsecurity=False).hexdigest()
        self._aes_key, self._iv = (_digits(), _digits())
        self._cipher = Cipher(algorithms.AES(self._aes_key.encode()), modes.CBC(self._iv.encode()))

    def seal(self, text: str) -> bytes:
        """The body that asks what `text` asks.

        The key is in each sign, not in the first only: else another session makes the router forget it.
        """
        padder = PKCS7(_BLOCK_BITS).padder()
        encryptor = self._cipher.encryptor()
        padded = padder.update(text.encode()) + padder.finalize()
        data = b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
        sign = f"key={self._aes_key}&iv={self._iv}&h={self._hash}&s={self._key.sequence + len(data)}"
        return f"sign={self._key.encrypt(sign.encode(), pkcs1=self._pkcs1)}\r\ndata={data}\r\n".encode()

    def open(self, text: str) -> str:
        """What the answer `text` says. Raises BadReply where it is not sealed as ours are."""
        unpadder = PKCS7(_BLOCK_BITS).unpadder()
        decryptor = self._cipher.decryptor()
        try:
            padded = decryptor.update(b64decode(text.strip(), validate=True)) + decryptor.finalize()
            return (unpadder.update(padded) + unpadder.finalize()).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as error:
            raise BadReply(f"the router's answer cannot be deciphered: {text[:60]!r}") from error


def _digits() -> str:
    return "".join(secrets.choice("0123456789") for _ in range(_DIGITS))
