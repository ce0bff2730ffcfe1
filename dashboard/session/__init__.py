"""What one visitor asked, chose and looks at, and the one engine that computes for all: the only package that touches session state and the engine."""
