"""Our code in processes of its own, so that nothing but it is counted."""
