"""Reloading: another configuration put in force while the router runs."""
