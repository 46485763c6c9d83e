#!/bin/sh
# Starts Mosquitto with the passwords in /run/secrets. It wants them hashed, in a file of its own: that is made at each
# start, in memory.
set -eu
umask 077
for user in dalla homeassistant; do
    password=$(head -n 1 "/run/secrets/mqtt_$user")
    case $password in
    "" | *:*)
        echo "the first line of secrets/mqtt_$user is empty or has a colon, at which Mosquitto would cut it off" >&2
        exit 1
        ;;
    esac
    printf '%s:%s\n' "$user" "$password"
done >/tmp/passwords
mosquitto_passwd -U /tmp/passwords
# Of this one, too, it wants that nobody else can read it.
cat /mosquitto/config/acl >/tmp/acl
exec mosquitto -c /mosquitto/config/mosquitto.conf
