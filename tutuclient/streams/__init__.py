"""Streamed answers: bytes into events, events into chunks, chunks into one answer."""
