"""Learning put together: the engine's search behind the retrieval that models learn with, and sources by name."""
