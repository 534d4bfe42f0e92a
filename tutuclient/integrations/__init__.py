"""The client in programs of others: each module imports its framework when it is used, and not before."""
