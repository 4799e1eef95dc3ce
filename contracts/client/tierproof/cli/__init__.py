"""The `tierproof` command."""
