"""The broker's socket: Varlink over a Unix stream socket, for clients that are known by what the kernel says of them."""
