"""A page on loopback to try a relay with: ask about an image and watch the tokens come, edit it, generate one."""
