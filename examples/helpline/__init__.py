"""A helpline: a service that answers customers, and helps those who answer them. It needs FastAPI."""
