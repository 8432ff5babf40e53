"""Requests in, answers out: admission, batching, retrieval, scoring, encoding."""
