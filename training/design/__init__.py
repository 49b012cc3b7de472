"""What is run and claimed, fixed before the first step: arms, plan, budgets."""
