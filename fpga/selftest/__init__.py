"""Bring-up of a board: what is tested, step by step, each on what the steps before it have shown
to work."""
