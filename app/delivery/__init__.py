"""Telling others of changes: durable listeners, webhooks, and those who wait for news."""
