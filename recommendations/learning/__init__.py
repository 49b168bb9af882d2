"""What the adaptation learns across sessions, and who decides on it: policies, the gate, proposals, experiments."""
