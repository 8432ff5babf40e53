"""gsu_engine."""
