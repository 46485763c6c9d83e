"""`python -m dalla_mqtt` is `dalla-mqtt`."""

from dalla_mqtt.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
