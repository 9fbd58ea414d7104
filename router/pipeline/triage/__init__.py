"""Deciding: one event and its thread in, one commit out."""
