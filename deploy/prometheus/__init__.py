"""Rules of Prometheus, and what is done with them: shortening for drills."""
