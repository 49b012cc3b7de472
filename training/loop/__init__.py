"""The training loop: optimizers, schedules, several processes, and what a run costs."""
