"""Everything between this program and Kafka: topics, clients, security, and a broker of our own for the first minute.

Invariant: whatever builds state reads committed records by manual assignment from its own position; Kafka's group
offsets are information only.
"""
