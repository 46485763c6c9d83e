"""dalla-mqtt: who used what on a shared line."""

__version__ = "0.1.0"
