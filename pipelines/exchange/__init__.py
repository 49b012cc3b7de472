"""How shards and partitions talk: mail by address, and files where rows wait."""
