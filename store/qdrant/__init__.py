"""The same port over Qdrant."""
