"""The deploy graph: a trained network as a short list of operations, made ready for integers."""
