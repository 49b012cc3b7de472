"""Makes `corpus`, the harness of corpus steps, importable from the rooms below."""
