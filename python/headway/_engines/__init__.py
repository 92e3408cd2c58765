"""One module for each engine: what a session asks for, made into a loaded model."""
