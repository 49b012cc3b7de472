"""From scores to a verdict: comparison, guards, curves, worth of steps, the sentence."""
