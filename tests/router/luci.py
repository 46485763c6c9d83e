"""A router of the generation with `/cgi-bin/luci`, as far as tplinkrouterc6u speaks to it.

Source: its classes TplinkRouterV1_11 (the password encrypted, then all in the clear) and TplinkRouter (all encrypted).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dalla_mqtt.router.simulator.encrypted import Key

BITS = {False: 2048, True: 1024}  # of the key, by whether all is encrypted
STOK = "0123456789abcdef"

DEVICE = {"macaddr": "02-00-00-00-00-01", "ipaddr": "192.168.0.100", "hostname": "alices-phone", "wire_type": "5G"}
TRAFFIC = {"mac": "02-00-00-00-00-01", "ip": "192.168.0.100", "deviceTag": "5G", "isGuest": False, "trafficUsage": 4711}


class Luci:
    """`encrypted`: as TplinkRouter wants it. `taken`: somebody else is logged in. `answers`: by the form asked for."""

    def __init__(self, password: str = "admin", *, encrypted: bool = False) -> None:  # noqa: S107  # invented
        self.password = password
        self.encrypted = encrypted
        self.taken = False
        self.tries = self.logins = self.logouts = 0
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "admin/status?form=all": {"lan_macaddr": "00-00-00-00-00-01", "access_devices_wireless_host": [DEVICE]},
            "admin/smart_network?form=game_accelerator": [TRAFFIC],
            "admin/firmware?form=upgrade": {
                "model": "AX73",
                "firmware_version": "1.11",
                "hardware_version": "1.0",
            },
        }
        self._private = rsa.generate_private_key(65537, BITS[encrypted])  # as the routers have it
        self._key: Key | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: dict[str, str]) -> dict[str, Any] | None:
        """The reply to what is asked of `path`, in the clear; None for a page that is not there."""
        stok, _, form = path.removeprefix("/cgi-bin/luci/;stok=").partition("/")
        form = form.partition("&")[0]
        self.asked.append(form)
        if form == "login?form=keys":
            return {"success": True, "data": {"password": self._public_key()}}
        if form == "login?form=auth" and self.encrypted:
            return {"success": True, "data": {"seq": 1000, "key": self._public_key()}}
        if form == "login?form=login":
            return self._log_in(self._open(body, "k"))
        if stok != STOK or not self._inside:
            return {"success": False, "errorcode": "permission denied"}
        self._open(body, "h")
        if form == "admin/system?form=logout":
            self.logouts += 1
            return self._seal({})
        known = self.answers.get(form)
        return self._seal({"success": True, "data": known} if known is not None else {"success": False})

    @property
    def _inside(self) -> bool:
        return self.logins > self.logouts

    def _public_key(self) -> list[str]:
        return [f"{self._private.public_key().public_numbers().n:X}", "010001"]

    def _log_in(self, body: dict[str, str]) -> dict[str, Any]:
        if body.get("operation") != "login":
            return {"success": False}
        self.tries += 1
        if self._decrypt(body["password"]) != self.password:
            return {
                "success": False,
                "errorcode": "login failed",
                "data": {"failureCount": self.tries, "attemptsAllowed": 10 - self.tries},
            }
        if self.taken and "confirm" not in body:
            return {"success": False, "errorcode": "user conflict", "data": {"errorcode": "user conflict"}}
        self.taken = False
        self.logins += 1
        return self._seal({"success": True, "data": {"stok": STOK}})

    def _decrypt(self, text: str) -> str:
        """What one block after the other says."""
        cipher, size = bytes.fromhex(text), self._private.key_size // 8
        blocks = (cipher[start : start + size] for start in range(0, len(cipher), size))
        return b"".join(self._private.decrypt(block, padding.PKCS1v15()) for block in blocks).decode()

    def _open(self, body: dict[str, str], field: str) -> dict[str, str]:
        if not self.encrypted or "sign" not in body:
            return body
        sign = dict(part.split("=") for part in self._decrypt(body["sign"]).split("&"))
        assert field in sign
        if "k" in sign:
            self._key = Key(sign["k"].encode(), sign["i"].encode())
        assert self._key is not None
        text = self._key.decrypt(body["data"])
        return {name: values[0] for name, values in parse_qs(text).items()}

    def _seal(self, reply: dict[str, Any]) -> dict[str, Any]:
        return {"data": self._key.encrypt(json.dumps(reply).encode()).decode()} if self._key else reply


def _handler(router: Luci) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(b"<html>AX73</html>" if self.path == "/" else None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            if not self.path.startswith("/cgi-bin/luci/"):
                self._send(None)
                return
            fields = {name: values[0] for name, values in parse_qs(body).items()}
            self._send(json.dumps(router.answer(self.path, fields)).encode())

        def _send(self, body: bytes | None) -> None:
            self.send_response(200 if body is not None else 404)
            self.send_header("Set-Cookie", "sysauth=5d41402a; path=/cgi-bin/luci/")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    return Handler
