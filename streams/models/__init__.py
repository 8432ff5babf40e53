"""The control topic: which model is active, and what each worker runs."""
