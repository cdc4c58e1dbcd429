"""The one home of files and run folders: written whole, read with care."""
