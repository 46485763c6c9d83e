"""What stays on this disk."""
