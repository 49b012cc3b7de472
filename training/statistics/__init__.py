"""Paired statistics, learning curves and power laws; numpy and scipy only."""
