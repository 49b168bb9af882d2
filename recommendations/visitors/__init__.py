"""Simulated visitors: shoppers of the simulation who come in through the public doors, marked as such wherever they appear."""
