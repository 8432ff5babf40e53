"""Random cases, every cpu path of the engine against the definition: see `python -m tests.gsu_engine.cases --help`."""
