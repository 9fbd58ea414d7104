"""Retention: what is kept no longer than ``[policy] keep`` says, looked for and deleted."""
