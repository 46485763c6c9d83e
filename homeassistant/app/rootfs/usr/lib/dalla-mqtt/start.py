"""What is set in Home Assistant -> the daemon, started as a user of its own.

    start.py USER DATA CONFIG RUN

reads DATA/options.json and, from standard input, what the Supervisor knows of a broker. Where there is
CONFIG/config.yaml, all is as in there, but for the page, the broker where it names none, and the level of the log where
that is set.
"""
# ruff: noqa: INP001  # a script, and no part of the package

from __future__ import annotations

import json
import os
import pwd
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Tree = dict[str, Any]

_USER_MAP = "user-map.csv"
_LISTEN = "0.0.0.0:8765"  # the container's own network: Home Assistant asks from there
_READ_OTHERWISE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")  # by YAML than by JSON
_NO_PASSWORD = "put the router's password into the app's Configuration"  # noqa: S105  # no password
_NO_BROKER = (
    "there is no broker, so Home Assistant gets no entities: install the app Mosquitto broker, or name another one"
)


def main(words: list[str]) -> None:
    """Become the daemon. Raises SystemExit with what is to be mended."""
    user, data, config, run = words[0], *(Path(word) for word in words[1:])
    options: Tree = json.loads((data / "options.json").read_text("utf-8"))
    broker: Tree = json.loads(sys.stdin.read() or "{}")
    own = config / "config.yaml"
    for token in ("SUPERVISOR_TOKEN", "HASSIO_TOKEN"):  # the daemon has no business with the Supervisor
        os.environ.pop(token, None)
    os.umask(0o077)
    memory = data / "dalla-mqtt"
    for folder in (memory, run):
        folder.mkdir(exist_ok=True)
    if own.exists():
        say(f"all is as in the app's own {own.name}; the options are left aside")
        os.environ |= environment(own.read_text("utf-8", "replace"), options, broker)
        file = own
    else:
        if not options.get("router_password"):
            raise SystemExit(f"dalla-mqtt: {_NO_PASSWORD}")
        if "url" not in mqtt(options, broker):
            say(_NO_BROKER)
        people = config / _USER_MAP
        if not people.exists():
            people.write_text("Name, MAC\n", "utf-8")
        file = run / "settings.yaml"
        file.write_text(as_yaml(settings(options, broker, memory, config)), "utf-8")
    become(user, memory, config, run)
    os.chdir(memory)
    os.execvp("dalla-mqtt", ["dalla-mqtt", "run", "--config", str(file)])  # noqa: S606, S607  # without a shell; the image's


def settings(options: Tree, broker: Tree, memory: Path, config: Path) -> Tree:
    """The settings of the daemon, as config.yaml has them. What it remembers is in `memory`, the rest in `config`."""
    folders = {"devices": "%Y-%m/devices", "users": "%Y-%m/users", "commune": "%Y-%m/total.csv"}
    names = [user["name"] for user in options["users"]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SystemExit(f"dalla-mqtt: {min(twice)!r} is among the users twice: put all devices into one of them")
    archive: Tree = {key: f"{config}/logs/{name}" for key, name in folders.items()}
    if options.get("keep_days"):
        archive["keep"] = f"{options['keep_days']}d"
    return {
        "router": {
            "driver": options["driver"],
            "url": options["router_url"],
            "username": options["router_username"],
            "password": options["router_password"],
            "interval": options["interval"],
        },
        "mqtt": mqtt(options, broker) or {"url": "off"},
        "archive": {"enabled": options["csv_files"], **archive},
        "state": f"{memory}/state.db",
        "user_map_file": f"{config}/{_USER_MAP}",
        "users": {user["name"]: _user(user) for user in options["users"]},
        "tariff": {"off_peak": options["off_peak"], "period_starts": options["period_starts"]},
        "web": {"listen": _LISTEN, "read": "token", "ingress": True, **_named(options, {"token": "web_token"})},
        "log": _named(options, {"level": "log_level"}),
    }


def environment(own: str, options: Tree, broker: Tree) -> dict[str, str]:
    """What counts more than the text of a config.yaml of the user's `own`, as variables."""
    try:
        tree = yaml.safe_load(own)
    except (yaml.YAMLError, ValueError, RecursionError):
        tree = None  # the daemon says what is wrong with it
    said = tree.get("mqtt") if isinstance(tree, dict) else None
    names_broker = isinstance(said, dict) and "url" in said
    over = {
        "mqtt": {} if names_broker else mqtt({}, broker),
        "web": {"listen": _LISTEN, "read": "token", "ingress": "true", **_named(options, {"token": "web_token"})},
        "log": _named(options, {"level": "log_level"}),
    }
    return {
        f"DALLA_{section}_{key}".upper(): str(value) for section, keys in over.items() for key, value in keys.items()
    }


def mqtt(options: Tree, broker: Tree) -> Tree:
    """The broker that was named, or else the one that the Supervisor knows; empty: there is none."""
    if options.get("mqtt_url"):
        urls = [url.strip() for url in options["mqtt_url"].split(",")]
        return {
            "url": urls if len(urls) > 1 else urls[0],
            **_named(options, {"username": "mqtt_username", "password": "mqtt_password"}),
        }
    if not broker.get("host"):
        return {}
    scheme = "mqtts" if broker.get("ssl") else "mqtt"
    return {
        "url": f"{scheme}://{broker['host']}:{broker['port']}",
        **_named(broker, {"username": "username", "password": "password"}),
    }


def as_yaml(tree: Tree) -> str:
    """JSON, which is YAML as well: whatever a value holds, it stays that value."""
    text = json.dumps(tree, ensure_ascii=False, indent=2)
    return _READ_OTHERWISE.sub(lambda char: f"\\u{ord(char[0]):04x}", text)


def become(user: str, *folders: Path) -> None:
    """Drop what root may do, where we are root; the `folders`, and what is in them, are the user's then."""
    if os.getuid() != 0:
        return
    entry = pwd.getpwnam(user)
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def say(text: str) -> None:
    """One line in the app's log."""
    print(f"dalla-mqtt: {text}", flush=True)  # noqa: T201  # what the log is made of


def _user(user: Tree) -> Tree:
    lists = {key: _parts(user[key]) for key in ("devices", "hostnames") if user.get(key)}
    return {**lists, **_named(user, {"quota": "quota", "at_quota": "at_quota"})}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _named(options: Mapping[str, Any], keys: Mapping[str, str]) -> Tree:
    """What is filled in of them, by the names that config.yaml has."""
    return {key: options[name] for key, name in keys.items() if options.get(name)}


if __name__ == "__main__":
    main(sys.argv[1:])
