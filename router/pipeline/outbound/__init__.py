"""What is to leave, before it does: planned, put into words, cut to size, made an outbox item."""
