"""Delivery: what was decided to leave leaves, with a known outcome."""
