"""What several nodes share through Redis, and when it is believed."""
