"""One policy per vehicle, trained from its own experience and from demonstrations."""
