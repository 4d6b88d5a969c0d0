"""Parts shared by the networks, each usable on its own."""
