"""What a proof found, as it is written to `result.json`."""
