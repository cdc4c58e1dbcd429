"""What a run did, for people: one HTML file, its pictures, and a page that follows a training run."""
