"""Connected components: of a graph in one place, and of one spread over many places."""
