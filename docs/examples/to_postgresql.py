"""All figures that dalla-mqtt publishes, into PostgreSQL: each once, whichever broker dies.

pip install paho-mqtt 'psycopg[binary]', then: BROKERS="node1:1883 node2:1883 node3:1883" python to_postgresql.py
"""

import itertools
import json
import os
import time

import paho.mqtt.client as mqtt
import psycopg

TOPICS = [("dalla/+/total/state", 1), ("dalla/+/user/+/state", 1), ("dalla/+/device/+/state", 1)]
TABLE = """CREATE TABLE IF NOT EXISTS usage (site text, series text, at timestamptz, bytes bigint, moved bigint,
    PRIMARY KEY (site, series, at))"""
INSERT = "INSERT INTO usage VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"  # what comes twice is there once


def on_message(client, database, message):
    if message.payload:  # else the topic was cleared
        _, site, *series, _ = message.topic.split("/")
        state = json.loads(message.payload)
        database.execute(INSERT, (site, "/".join(series), state["time"], state["usage"], state["delta"]))
    client.ack(message.mid, message.qos)  # the broker forgets it now, and not before


with psycopg.connect(os.environ.get("DATABASE", "dbname=dalla"), autocommit=True) as database:
    database.execute(TABLE)
    for broker in itertools.cycle(os.environ.get("BROKERS", "127.0.0.1:1883").split()):
        host, _, port = broker.partition(":")
        # A session of that name is kept for us, on all nodes, while we or the node where we were are away.
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, "to-postgresql", clean_session=False, userdata=database, manual_ack=True
        )
        client.username_pw_set(os.environ.get("BROKER_USER"), os.environ.get("BROKER_PASSWORD"))
        client.on_connect = lambda client, *_: client.subscribe(TOPICS)
        client.on_subscribe = lambda client, _, mid, reasons, __: (
            any(reason.is_failure for reason in reasons) and client.disconnect()  # of a node that is not ready yet
        )
        client.on_message = on_message
        try:
            client.connect(host, int(port or 1883), keepalive=20)
            while client.loop() == mqtt.MQTT_ERR_SUCCESS:
                pass
        except OSError:
            pass
        print(f"{broker} is away", flush=True)
        time.sleep(1)
