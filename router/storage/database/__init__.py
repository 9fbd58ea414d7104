"""A database as a whole: its schema and its health, copies of it, moving to another, reading it."""
