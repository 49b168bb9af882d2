"""The REST API that Django answers: a shop's rows, its shoppers' rights, and the hot endpoints' part of the schema.

Events in, slates and profiles out are answered by `recommendations.serving.live`, before Django sees them.
"""
