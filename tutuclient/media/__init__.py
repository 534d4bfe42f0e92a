"""Files in and out: images, audio and documents on their way to the API, and what it made on its way to a disk."""
