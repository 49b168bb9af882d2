"""Reasons in words, made from what really carried the score."""

from __future__ import annotations

PHRASES = {
    "transitions": ("Often viewed next after {because}", "Often viewed next in visits like this"),
    "neighbours": ("Visits like yours, with {because}, led here", "Visits like yours led here"),
    "encoder": ("Goes with what you looked at, most of all {because}", "Goes with what you looked at"),
    "popularity": ("Much looked at just now", "Much looked at just now"),
    "session": ("You looked at this before", "You looked at this before"),
    "clusters": ("From a group of items that you keep returning to", "From a group of items that suits you"),
}
"""Expert -> phrase with and without the session's item that carried it."""


def reason(*, expert: str, explored: bool, because: str, cluster: str, persona: str) -> str:
    """One or two short sentences: the cause, then the cluster and the persona it is for.

    expert : the expert with the largest share of the score.  because : title of the session's item, "" for none.
    """
    with_item, without = PHRASES.get(expert, PHRASES["clusters"])
    words = with_item.format(because=because) if because else without
    if explored:
        words = "Something new to try: we are learning whether it suits you"
    if cluster and persona:
        return f"{words}. From “{cluster}”, for {persona}."
    if cluster:
        return f"{words}. From “{cluster}”."
    return f"{words}."
