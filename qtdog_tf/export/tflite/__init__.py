"""The .tflite file itself: read and written without trusting it, its metadata, its runner."""
