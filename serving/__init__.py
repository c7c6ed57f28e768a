"""From a trained run to answered requests: export, client, and a server for development."""
