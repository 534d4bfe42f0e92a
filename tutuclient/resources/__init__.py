"""One small class for each endpoint of the API: keywords become calls, and answers structs."""
