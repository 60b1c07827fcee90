"""The host's side of a board."""
