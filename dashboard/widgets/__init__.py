"""Parts of a page: each draws itself, keeps its own state and returns a value."""
