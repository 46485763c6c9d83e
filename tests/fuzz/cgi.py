"""Any bytes for an answer of the router, by atheris: python tests/fuzz/cgi.py FOLDER tests/samples -max_total_time=600.

No exception but BadReply; and what was read comes back when it is written down again, as far as it is anything.
FOLDER is for what was found on the way. atheris is in no lock: `pip install atheris` in a venv of its own.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

import atheris

with atheris.instrument_imports(include=["dalla_mqtt"]):
    from dalla_mqtt.errors import BadReply
    from dalla_mqtt.router.answers import reading_of
    from dalla_mqtt.router.cgi import Reply, decode
    from dalla_mqtt.usage.reading import Reading

COUNTERS = 2**52


def one_input(data: bytes) -> None:
    """As the answer of a router would be taken."""
    try:
        reply = decode(data.decode("utf-8", "replace"))
    except BadReply:
        return
    assert decode(written(reply)) == reply
    try:
        reading = reading_of(reply.blocks)
    except BadReply:
        return
    check(reading)
    assert reading_of(decode(written(reply)).blocks) == reading


def written(reply: Reply) -> str:
    lines = []
    for block in reply.blocks:
        lines += [f"[0,0,0,0,0,0]{block.index}\r\n", *(f"{key}={value}\r\n" for key, value in block.values.items())]
    return "".join([*lines, f"[error]{reply.error}"])


def check(reading: Reading) -> None:
    """What everything behind relies on."""
    assert len({row.key for row in reading.rows}) == len(reading.rows)
    for ip in (each.ip for each in (*reading.rows, *reading.hosts)):
        assert str(IPv4Address(ip)) == ip
    for row in reading.rows:
        assert row.packets is None or 0 <= row.packets < COUNTERS
        assert 0 <= row.bytes < COUNTERS
    info = reading.info
    for text in (*(host.name for host in reading.hosts), info.model, info.firmware, info.hardware):
        assert text is None or (text.isprintable() and 0 < len(text) <= 64)


atheris.Setup(sys.argv, one_input)
atheris.Fuzz()
