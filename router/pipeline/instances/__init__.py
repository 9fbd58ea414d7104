"""Plugin instances and the configuration that they are built from: what calls go through."""
