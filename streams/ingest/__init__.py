"""From the log to durable state: reading behaviours, users and items, and telling the engine what came."""
