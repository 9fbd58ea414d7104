"""Recorded traffic, decided again under another configuration."""
