"""The smallest honest programs that do the same work as ours, with none of our promises."""
