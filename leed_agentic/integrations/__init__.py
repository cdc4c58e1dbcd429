"""Thin doors to other people's trainers. Each file needs its library, and says so when it is missing."""
