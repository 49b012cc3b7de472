"""What a finished output says of single rows: why one was dropped, which duplicates it had."""
