"""Texts as flat arrays: tokens, characters, lines, spans, white space and fingerprints."""
