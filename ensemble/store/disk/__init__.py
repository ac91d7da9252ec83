"""The durable operations on files, and the lock, of a store on a local disk."""
