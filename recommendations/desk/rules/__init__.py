"""Merchandising rules at the desk: their forms, what they would do and did, and the days on which they hold."""
