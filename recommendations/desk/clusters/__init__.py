"""Clusters at the desk: the grid, one cluster and what is done to it, builds, changes and what they would do."""
