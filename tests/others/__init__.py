"""Programs of others read what elevate writes."""
