"""Traces: where a request stands in its caller's trace, and the spans of its stages."""
