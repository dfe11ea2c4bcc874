"""Encoders beside transformers: sentence-transformers, and endpoints with OpenAI's form of requests for embeddings."""
