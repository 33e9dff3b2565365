"""Networks in which every position attends to others."""
