"""Asking a model: the question, the prompt, the tools, and the answer that comes back."""
