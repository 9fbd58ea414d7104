"""Suites: cases beside the rules, run through what a message runs through, and what they miss."""
