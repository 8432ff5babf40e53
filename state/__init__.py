"""The durable state: what every user did, in order, each store the pure function of a prefix of its log."""
