"""How moments are written: by 24 hours in lists, as pages of our own have them."""
