"""Home Assistant's recorder: its long-term statistics, over its WebSocket API."""
