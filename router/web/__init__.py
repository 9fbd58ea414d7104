"""HTTP: webhooks in, health out, and the pages for people."""
