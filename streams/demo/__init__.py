"""The demo: bundled real purchases, a feed, a requester and what a newcomer sees of it all."""
