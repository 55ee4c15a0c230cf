"""What keeps sessions over the years: verify, repair, prune, import, export, rotate keys, erase a person's words."""
