"""Ways to adapt clusters, side by side in worlds whose shoppers are known: what they earn, and what they miss. Pure."""
