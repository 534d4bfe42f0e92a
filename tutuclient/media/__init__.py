"""Files in and out: images, audio and documents on their way to the API, and those of answers on their way to disk."""
