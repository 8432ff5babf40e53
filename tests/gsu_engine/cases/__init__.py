"""Random cases: every cpu path of the engine against the definition, bit for bit. See `python -m tests.gsu_engine.cases`."""
