"""How much is kept of what: where a budget ends, and the shares of a mixture."""
