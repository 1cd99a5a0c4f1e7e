"""What an operator sees of a process: its logs, its metrics, its health."""
