"""The models that batchgen knows: their input schemas, and what to assume of their prices and times."""
