"""The rules: what deployers write, read and checked, and what it comes to. Pure and synchronous."""
