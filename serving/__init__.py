"""Exports of trained models, a client, and a development server."""
