"""Networks and images that come with the project."""
