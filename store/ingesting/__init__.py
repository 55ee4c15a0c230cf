"""Files into passages, and everything that is changed about them later."""
