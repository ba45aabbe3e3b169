"""What Windows knows of a file and of a token: manifests, installers, publishers, privileges, integrity levels."""
