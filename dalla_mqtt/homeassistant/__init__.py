"""Home Assistant itself, asked over its WebSocket API."""
