"""Compiled loops (numba, no GIL): hashing, paging, rows and the search itself."""
