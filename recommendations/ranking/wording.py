"""Reasons in words: for the shopper, short and without the shop's own vocabulary; for the merchandiser, with names.

Only what `naming` verified is named. Where nothing was, the words say what is true of any item.
"""

from __future__ import annotations

from personas.events import CODE

NEUTRAL = "Picked for this visit"
NEW = "Something new to try: we are learning whether it suits you"
PINNED = "Chosen by the shop"

EXPERTS = {
    "transitions": "Often chosen next in visits like this",
    "neighbours": "Visits like yours led here",
    "encoder": "Goes with what you looked at",
    "popularity": "Much in demand just now",
    "session": "You looked at this before",
    "clusters": "From a group of items that suits this visit",
    "personas": "What shoppers like you look for",
    "reminders": "You chose this on an earlier visit",
}
"""Expert -> what it says of an item, where no item of the session is named."""

ITSELF = {
    CODE["purchase"]: "You bought this",
    CODE["add_to_cart"]: "You put this in your bag",
    CODE["add_to_wishlist"]: "You wished for this",
}
OTHER = {CODE["purchase"]: "bought", CODE["add_to_cart"]: "put in your bag", CODE["add_to_wishlist"]: "wished for"}
"""What the shopper did with an item, by the code of the event that says most; anything else is a look."""

FOUND = "Matches your search"


def reason(
    *,
    expert: str,
    explored: bool,
    pinned: bool,
    because: str,
    itself: bool,
    did: int,
    beside: str,
    found: bool,
    cluster: str,
) -> str:
    """One or two short sentences for the shopper: the cause, then the cluster.

    expert : that may be named, "" for none.  explored : drawn to learn of.  pinned : by a merchandiser.
    because : title of the session's item that may be named, "" for none.  itself : it is the item shown.
    did : code of the event that says most of what the shopper did with it, -1 if it is the page's and not theirs.
    beside : how it stands to what the slate stands beside, "" where that may not be named.  found : by a search.
    cluster : name, "" where it may not be named.
    """
    if pinned:
        words = PINNED
    elif explored:
        words = NEW
    elif found:
        words = FOUND
    elif beside:
        words = beside
    elif because and itself:
        words = ITSELF.get(did, EXPERTS["session"])
    elif because and did < 0:
        words = f"Goes with {because}"
    elif because:
        words = f"Because you {OTHER.get(did, 'looked at')} {because}"
    else:
        words = EXPERTS.get(expert, NEUTRAL)
    return f"{words}. From “{cluster}”." if cluster and not (pinned or explored) else f"{words}."
