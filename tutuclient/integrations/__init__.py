"""The client in programs of others: web frameworks, traces, clusters. Each module imports its framework when it is used."""
