"""Webhooks in: verified, parsed, stored once, acknowledged; work gives way to them."""
