"""``tutuclient batch``: runs of many items from the shell; ``commands`` has the commands, the rest what they do."""
