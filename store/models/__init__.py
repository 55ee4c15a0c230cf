"""Other models that the store asks: embedders and rerankers, here or at an endpoint."""
