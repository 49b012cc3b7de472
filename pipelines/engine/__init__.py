"""The one graph and what runs in it. Only `graph` and `runners` import Beam."""
