"""Images fetched from addresses that an answer names: hosts that nobody has vouched for."""
