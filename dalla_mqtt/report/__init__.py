"""What is shown to people who ask: the page and its figures."""
