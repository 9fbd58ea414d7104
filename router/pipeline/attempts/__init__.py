"""Attempts at outbox items: whether one may begin, and what its end means."""
