"""What ``router doctor`` looks at: the way that webhooks take, this machine, and each instance."""
