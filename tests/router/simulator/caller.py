"""A client of the newer firmware, one request at a time, with all that it may do wrong."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import md5
from typing import Literal
from urllib.parse import quote

import requests
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from dalla_mqtt.router.simulator import Simulator

GET_PARAMETERS = "[/cgi/getParm#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n"
STATISTICS = "1&5\r\n[STAT_CFG#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n[STAT_ENTRY#0,0,0,0,0,0#0,0,0,0,0,0]1,0\r\n"
MODE = "1\r\n[SYS_MODE#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n"
LOGOUT = "8\r\n[/cgi/logout#0,0,0,0,0,0#0,0,0,0,0,0]0,0\r\n"


class Caller:
    """`name` stands for a machine of its own. `digits` are the key and the IV."""

    def __init__(
        self,
        simulator: Simulator,
        name: str = "laptop",
        password: str = "admin",  # noqa: S107  # what the simulator has
        digits: str = "1234567890123456",
    ) -> None:
        self.simulator = simulator
        self.login = simulator.firmware.login
        self.password = password
        self.digits = digits.encode()
        self.seq = 0
        self.modulus = 0
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"Referer": f"{simulator.url}/", "X-Simulated-Client": name})

    def get(self, path: str = "/") -> str:
        return self.session.get(f"{self.simulator.url}{path}", timeout=5).text

    def post(self, path: str, body: str = "") -> requests.Response:
        return self.session.post(f"{self.simulator.url}{path}", data=body, timeout=5)

    def learn(self) -> None:
        """Key and sequence number."""
        told = self.post("/cgi/getParm").text
        self.modulus = int(re.findall('var nn="([0-9A-F]{128})";', told)[0], 16)
        self.seq = int(re.findall('var seq="([0-9]+)";', told)[0])

    def enter(self) -> str:
        """The whole login; what it came to."""
        self.get()
        self.learn()
        answer = self.log_in()
        encrypted = answer.ok and self.login in ("gdpr", "gdpr-pkcs1")
        result = self.decrypt(answer.text) if encrypted else answer.text
        if token := re.findall('var token="([0-9a-f]+)";', self.get()):
            self.session.headers["TokenID"] = token[0]
        return result

    def log_in(self, off: int = 0) -> requests.Response:
        """The login alone. `off`: by how much the sum in its sign is wrong."""
        if self.login == "rsa":
            name, password = (self.rsa_pkcs1(text) for text in (b"admin", b64encode(self.password.encode())))
            return self.post(f"/cgi/login?UserName={name}&Passwd={password}&Action=1&LoginStatus=0")
        if self.login == "mr":
            sign, data = self.seal(f"admin\n{self.password}", off=off)
            return self.post(f"/cgi/login?data={quote(data, safe='')}&sign={sign}&Action=1&LoginStatus=0")
        sign, data = self.seal(
            f"8\r\n[/cgi/login#0,0,0,0,0,0#0,0,0,0,0,0]0,2\r\nusername=admin\r\npassword={self.password}\r\n", off=off
        )
        return self.post("/cgi_gdpr", f"sign={sign}\r\ndata={data}\r\n")

    def send(self, text: str, form: Literal["long", "short"] = "long", off: int = 0) -> requests.Response:
        """The answer as it comes. The first line of `text` is the query."""
        if self.login == "rsa":
            query, _, body = text.partition("\r\n")
            return self.post(f"/cgi?{query}", body)
        sign, data = self.seal(text, form, off)
        return self.post("/cgi_gdpr", f"sign={sign}\r\ndata={data}\r\n")

    def ask(self, text: str, form: Literal["long", "short"] = "long") -> str:
        """The answer in the clear."""
        answer = self.send(text, form)
        assert answer.status_code == 200, answer.text
        return answer.text if self.login == "rsa" else self.decrypt(answer.text)

    def seal(self, text: str, form: str = "long", off: int = 0) -> tuple[str, str]:
        padder, encryptor = PKCS7(128).padder(), self._cipher().encryptor()
        padded = padder.update(text.encode()) + padder.finalize()
        data = b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
        digest = md5(f"admin{self.password}".encode(), usedforsecurity=False).hexdigest()
        sign = f"h={digest}&s={self.seq + len(data) + off}"
        if form == "long":
            sign = f"key={self.digits.decode()}&iv={self.digits.decode()}&{sign}"
        return self.rsa_pkcs1(sign.encode()) if self.login == "gdpr-pkcs1" else self.rsa_zeros(sign.encode()), data

    def decrypt(self, text: str) -> str:
        unpadder, decryptor = PKCS7(128).unpadder(), self._cipher().decryptor()
        padded = decryptor.update(b64decode(text)) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()

    def rsa_pkcs1(self, text: bytes) -> str:
        parts = [text[start : start + 53] for start in range(0, len(text), 53)]
        return "".join(self._rsa(b"\0\2" + b"\xa5" * (61 - len(part)) + b"\0" + part) for part in parts)

    def rsa_zeros(self, text: bytes) -> str:
        return "".join(self._rsa(text[start : start + 64].ljust(64, b"\0")) for start in range(0, len(text), 64))

    def _rsa(self, block: bytes) -> str:
        return f"{pow(int.from_bytes(block, 'big'), 0x10001, self.modulus):0128x}"

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self.digits), modes.CBC(self.digits))
