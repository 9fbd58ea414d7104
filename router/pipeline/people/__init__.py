"""What people and other systems ask of the router: acts, batches of calls, tokens."""
