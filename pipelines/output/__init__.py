"""From finished shards to files: layout, orders, writers, and what is known at the end."""
