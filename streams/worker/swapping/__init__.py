"""Which model answers, and how another one takes its place while requests are served. See docs/swapping.md."""
