"""What our code costs beside the floor: the smallest honest program that does the same work. docs/benchmarks.md tells how to read it."""
