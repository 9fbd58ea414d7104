"""What people may ask of what is stored of them: to have it exported, or erased."""
