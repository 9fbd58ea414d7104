"""Who is told, in what words: of a decision, and of what did not arrive."""
