"""The broker: there, letting us in, taking and bringing messages; and whether Home Assistant listens to it."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import msgspec
from paho.mqtt.reasoncodes import ReasonCode

from dalla_mqtt.config import BrokerAddress, Config, MqttConfig
from dalla_mqtt.doctor.findings import Finding, hint, ok, wrong
from dalla_mqtt.doctor.line import Line
from dalla_mqtt.errors import ConfigError
from dalla_mqtt.mqtt.topics import Topics
from dalla_mqtt.mqtt.trust import WITH_TLS, WITHOUT_TLS, distrusted, refused, tls_context

# Reason codes of MQTT 5; paho tells those of 3.1.1 by the same. Source: MQTT 5.0, 2.4.
_NOBODY_LISTENS = 0x10
_OLD_BROKER, _BAD_ID, _BAD_PASSWORD, _NOT_AUTHORISED = 0x84, 0x85, 0x86, 0x87
_REFUSALS = {
    _BAD_ID: ("the broker does not like our client id", "set another mqtt.client_id, of letters and digits"),
    0x88: ("the broker is there, but not at work", "wait, or look into its log"),
    0x89: ("the broker is too busy", "wait, or look into its log"),
    0x8A: ("the broker has banned us", "look into its log, and into the list of those it keeps out"),
    0x97: ("the broker takes no more connections", "look into its log for the limit, such as max_connections"),
    0x9F: ("the broker takes no more connections", "wait, or look into its log"),
}

_AID = "dalla_doctor"  # in topics of discovery; no device of ours is called that, nor anybody's
_EMPTY_DEVICE = msgspec.json.encode({"dev": {"ids": [_AID]}, "o": {"name": "dalla-mqtt"}, "cmps": {}})


def examine_broker(config: Config, *, held: bool) -> Iterator[Finding]:
    """All that can be known without leaving anything behind. `held`: a daemon of ours is connected, too."""
    if config.mqtt is None:
        yield ok("broker", "none: mqtt.url is off")
        return
    for address in config.mqtt.addresses:
        yield from _examine(config, config.mqtt, address, held=held)


def _examine(config: Config, mqtt: MqttConfig, address: BrokerAddress, *, held: bool) -> Iterator[Finding]:
    try:
        line = _open(mqtt, address)
    except (OSError, ValueError, ConfigError) as error:
        yield from _unreached(address, error)
        return
    with line:
        yield ok("broker", f"answers at {address.host}, port {address.port}")
        if address.tls:
            yield ok("TLS", "its certificate is good")
        refusal = _refusal(mqtt, address, line.welcome)
        if refusal is not None:
            yield refusal
            return
        who = f"as {mqtt.username}" if mqtt.username else "without a user name"
        yield ok("credentials", f"it lets us in {who}, and speaks MQTT {'5' if line.newest else '3.1.1'}")
        yield from _messages(line, Topics(mqtt.base_topic, config.site))
        if config.discovery_prefix is None:
            yield ok("discovery", "is switched off: homeassistant.discovery is false")
        else:
            yield from _discovery(line, config.discovery_prefix, held=held)


def last_word(config: Config) -> bytes | None:
    """What a daemon last said of the router, which brokers keep; None where that cannot be known."""
    if config.mqtt is None:
        return None
    topic = Topics(config.mqtt.base_topic, config.site).router
    for address in config.mqtt.addresses:
        with suppress(OSError, ValueError, ConfigError), _open(config.mqtt, address) as line:
            line.subscribe(topic)
            if (word := line.hears(lambda heard, _: heard == topic)) is not None:
                return word
    return None


def _open(config: MqttConfig, address: BrokerAddress) -> Line:
    """A line by MQTT 5, or by 3.1.1 where the broker does not know that."""
    tls = tls_context(config) if address.tls else None
    line = Line(config, address, tls, newest=True)
    if line.welcome is None or line.welcome.value == _OLD_BROKER:
        with line:
            pass
        line = Line(config, address, tls, newest=False)
    return line


def _unreached(address: BrokerAddress, error: Exception) -> Iterator[Finding]:
    where = f"{address.host}, port {address.port}"
    if isinstance(error, ConfigError):
        yield wrong("TLS", str(error), "name a certificate in PEM, and the key that goes with it")
    elif isinstance(error, ssl.SSLError):
        yield ok("broker", f"somebody answers at {where}")
        yield wrong("TLS", *distrusted(address.host, error))
    elif isinstance(error, socket.gaierror | UnicodeError):  # UnicodeError: no name can be like that
        yield wrong("broker", f"nobody knows the name {address.host}", "put the broker's number into mqtt.url")
    elif isinstance(error, ConnectionRefusedError):
        mend = "start it (`apt install mosquitto` where there is none), or set mqtt.url to where it is, or to off"
        yield wrong("broker", f"no broker runs at {where}", mend)
    elif isinstance(error, ValueError) or address.transport == "websockets":
        mend = "is it the broker's port for websockets? Without them, mqtt.url begins with mqtt:// or mqtts://"
        yield wrong("broker", f"{where} does not speak MQTT over websockets", mend)
    elif isinstance(error, ConnectionError):
        yield wrong("broker", f"{where} hung up at once", WITHOUT_TLS)
    else:
        mend = "is that machine switched on, is this one in its network, and does mqtt.url name it?"
        yield wrong("broker", f"nobody answers at {where}: {getattr(error, 'strerror', None) or error}", mend)


def _refusal(config: MqttConfig, address: BrokerAddress, welcome: ReasonCode | None) -> Finding | None:
    if welcome is None:
        if address.tls:
            return wrong("credentials", *refused(address, tls_context(config)))
        return wrong("credentials", "the broker hung up without an answer", WITH_TLS)
    if not welcome.is_failure:
        return None
    if welcome.value in (_BAD_PASSWORD, _NOT_AUTHORISED):
        if config.username is None:
            mend = "set mqtt.username, and mqtt.password_file or DALLA_MQTT_PASSWORD"
            return wrong("credentials", "the broker asks for a user name and a password, and none is set", mend)
        text = f"the broker does not know {config.username}, or the password is another one"
        mend = "compare mqtt.username and its password with the broker's (Mosquitto: mosquitto_passwd)"
        return wrong("credentials", text, mend)
    text, mend = _REFUSALS.get(welcome.value, (f"the broker refuses us: {welcome}", "look into its log"))
    return wrong("credentials", text, mend)


def _messages(line: Line, topics: Topics) -> Iterator[Finding]:
    """Say something where only commands are looked for, and hear it: the daemon writes and reads there."""
    topic, payload = f"{topics.root}/doctor/set", secrets.token_hex().encode()
    line.subscribe(topic)
    said = line.publish(topic, payload)
    allow = f"let this user write {topics.root}/# and read {topics.root}/+/set: see the broker's access control list"
    if not line.keeps_retained:
        mend = "switch that on at the broker (Mosquitto: retain_available true)"
        yield wrong("publishing", "the broker keeps no retained messages, so that nobody finds what was said", mend)
    elif said is None:
        yield wrong("publishing", f"the broker does not answer to what is said on {topic}", "look into its log")
    elif said.is_failure:
        yield wrong("publishing", f"we may not publish on {topics.root}/…: {said}", allow)
    elif line.hears(lambda *heard: heard == (topic, payload)) is not None:
        yield ok("publishing", f"what is said on {topics.root}/… arrives, and is heard")
    elif line.newest:
        yield ok("publishing", f"what is said on {topics.root}/… arrives")
        yield wrong("commands", f"we may not hear {topics.root}/…/set, so that commands do nothing", allow)
    else:
        yield wrong("publishing", f"what is said on {topics.root}/… does not come back", allow)


def _discovery(line: Line, prefix: str, *, held: bool) -> Iterator[Finding]:
    """A device without entities, which nobody keeps, is announced: Home Assistant passes it over in silence."""
    said = line.publish(f"{prefix}/device/{_AID}/config", _EMPTY_DEVICE)
    if said is None:
        yield wrong("discovery", "the broker does not answer to what is announced", "look into its log")
        return
    if said.is_failure:
        mend = f"let this user write {prefix}/device/+/config: see the broker's access control list"
        yield wrong("discovery", f"we may not announce devices on {prefix}/…: {said}", mend)
        return
    yield ok("discovery", f"devices may be announced on {prefix}/…")
    yield _home_assistant(line, prefix, None if held else said)


def _home_assistant(line: Line, prefix: str, to_device: ReasonCode | None) -> Finding:
    """Whether anybody listens where only Home Assistant does. `to_device`: the answer where a daemon would, too.

    A broker of MQTT 5 says of each message whether it is of use to anybody. An empty one on the topic of a sensor that
    does not exist is passed over in silence, too; one on `<prefix>/<anything>` is of use to who hears all there is.
    """
    if not line.newest:
        mend = f"see whether {prefix} is the prefix in its MQTT integration, and this its broker"
        return hint("Home Assistant", "this broker speaks MQTT 3.1.1 only, so whether it listens cannot be known", mend)
    to_all = line.publish(f"{prefix}/{_AID}", b"")
    to_sensor = line.publish(f"{prefix}/sensor/{_AID}/config", b"")
    told = to_device if to_sensor is None or to_sensor.is_failure else to_sensor
    if told is None or (to_all is not None and to_all.value == 0 and told.value == 0):
        text = "whether it listens cannot be known: the broker does not say who does, or somebody hears all there is"
        return hint("Home Assistant", text, "look for the devices there, under Settings, Devices")
    if told.value == _NOBODY_LISTENS:
        mend = f"set up its MQTT integration with this broker and the prefix {prefix}; right where there is none"
        return hint("Home Assistant", "it does not listen to this broker", mend)
    return ok("Home Assistant", f"listens on {prefix}/…")
