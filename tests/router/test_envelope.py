from __future__ import annotations

import pytest

from dalla_mqtt.errors import BadReply
from dalla_mqtt.router.envelope import Envelope, PublicKey

# What the sign of a real Archer C20 was made of, and what went over the wire; docs/router.md, S14.
MODULUS = (
    "D1360056D6090AF5987BCD20FB6979279C7BDEF84D465EFEDE5BC0481D80A2B6"
    "980F78396567853B369DE1369E7E055C73740AFD9EAD337548E493340150F36B"
)
PLAIN = b"key=1617857002547232&iv=1617857002547416&h=bb0f7e021d52a4e31613d463fc0525d8&s=271058692"
SIGN = (
    "1311e8009b3f52a4e3a74766a46ab1fda759914d72c214522c06d8174a14018ebb67689b1f5ded765bba3b33897c6fdf"
    "cca0ca06ebfafb510918b602c0036a99835a92669370909836c3edb33b9c6f140e4e863b18bd269fcdfec925ff1ee2e3"
    "df449fcc296483088c2209aab1b23d1e8ff9211079986d67a64cb24395cc7c03"
)
PARAMETERS = f'[cgi]0\nvar ee="010001";\nvar nn="{MODULUS}";\nvar seq="271058633";\n$.ret=0;\n[error]0'


def test_a_sign_is_what_a_browser_sent_to_a_real_archer_c20() -> None:
    assert PublicKey.parse(PARAMETERS).encrypt(PLAIN, pkcs1=False) == SIGN


def test_what_is_sealed_says_how_long_it_is_and_is_sealed_anew_each_session() -> None:
    key = PublicKey.parse(PARAMETERS)
    sealed = [Envelope(key, "admin", "secret", pkcs1=pkcs1).seal("8\r\n") for pkcs1 in (False, True, True)]
    assert len(set(sealed)) == 3
    for text in sealed:
        sign, data, end = text.split(b"\r\n")
        assert sign.startswith(b"sign=")
        assert data.startswith(b"data=")
        assert end == b""
    assert [len(text.split(b"\r\n")[0]) for text in sealed] == [5 + 256] * 3


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "<html>",
        PARAMETERS.replace("nn=", "xx="),
        PARAMETERS.replace(MODULUS, "00"),
        PARAMETERS.replace(MODULUS, "0" * 128),
        PARAMETERS.replace("010001", "0"),
        PARAMETERS.replace("010001", "F" * 512),
        PARAMETERS.replace("271058633", "ABC"),
    ],
)
def test_a_key_that_makes_no_sense_is_a_bad_reply(parameters: str) -> None:
    with pytest.raises(BadReply, match="no RSA key"):
        PublicKey.parse(parameters)


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "A" * 44, "A" * 22 + "=="])
def test_an_answer_that_is_not_sealed_by_our_key_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply, match="cannot be deciphered"):
        Envelope(PublicKey.parse(PARAMETERS), "admin", "secret", pkcs1=False).open(text)
