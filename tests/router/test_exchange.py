from __future__ import annotations

import tracemalloc

from dalla_mqtt.router.exchange import Exchange
from tests.router.test_archer_c20 import Script, ok


def test_an_answer_in_the_smallest_of_pieces_takes_little_more_memory_than_its_text() -> None:
    pieces = 100_000
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with Script(head + b"2\r\nab\r\n" * pieces + b"0\r\n\r\n") as router:
        exchange = Exchange(router.url, 60)
        tracemalloc.start()
        try:
            answer = exchange.post("/cgi?1", b"", {})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.text == "ab" * pieces
    assert peak < 10 * len(answer.text)


def test_a_cookie_is_told_and_one_that_is_taken_back_too() -> None:
    def setting(cookie: bytes) -> bytes:
        return ok(b"[error]0").replace(
            b"\r\n\r\n", b"\r\nSet-Cookie: JSESSIONID=%s; Path=/; HttpOnly\r\n\r\n" % cookie, 1
        )

    with Script(setting(b"fc1e35a7"), setting(b"deleted"), ok(b"[error]0")) as router:
        exchange = Exchange(router.url, 5)
        assert [exchange.post("/cgi?1", b"", {}).cookie for _ in range(3)] == ["fc1e35a7", "deleted", None]
        assert not any(b"JSESSIONID" in request for request in router.asked), "which session is whose is told by hand"
