"""Wrong labels: out-of-fold probabilities, and confident learning on them."""
