"""The page ``/simulator``: a phone, and beside it what was decided and why."""
