"""``make proof``: real daemons are killed, over and over, and nothing is lost, nothing doubled.

A run is divided into episodes. An episode has a database of its own, a hostile provider, people
who write, people who take over, and daemons that are killed, frozen and cut off from their disk.
When nobody is killed any more it is left alone until it has settled, and then all that was
promised is checked. What an episode does follows from its seed.
"""
