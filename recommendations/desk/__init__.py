"""The merchandiser's desk: what they open in the morning."""
