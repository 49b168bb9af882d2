"""What the world says of a visit: adapters that ask nothing of the shopper. They work off the hot path and know no shop."""
